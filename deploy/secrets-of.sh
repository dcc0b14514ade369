# secrets_of SERVICE FOLDER: the names of the files in the folder of secrets that the service may see, one on a line.
# A compromised service gives away these, and what they open, and no more.
secrets_of() {
    case $1 in
        migrate) set -- "$2" postgres.password postgres.web.password postgres.worker.password postgres.console.password ;;
        # Every endpoint's webhook secrets: their names have no dot, those of all other files have one.
        webhooks) set -- "$2" postgres.web.password broker.password metrics.token $(ls "$2" | grep -v '[.]') ;;
        console)
            set -- "$2" postgres.console.password broker.password console.secret metrics.token alert.secret smtp.url
            ;;
        # What the endpoints' processors are asked with.
        worker) set -- "$2" postgres.worker.password broker.password $(ls "$2" | grep '[.]api$') ;;
        beat) set -- "$2" broker.password ;;
        *) echo "There is no service $1." >&2; return 1 ;;
    esac
    folder_=$1
    shift
    for name_; do
        [ ! -f "$folder_/$name_" ] || echo "$name_"
    done
}

"""What is wrong with how a page is laid out at the width that its window has now."""

from playwright.sync_api import Page

TOUCHED_BELOW_PX = 992
"""Narrower screens are those of phones and tablets, where a finger has to meet what is pressed."""

FAULTS = """touched => {
    const found = [];
    const fault = (what, one) => found.push(what + ": " + one.outerHTML.replace(/\\s+/g, " ").slice(0, 160));
    const screen = document.scrollingElement;
    if (screen.scrollWidth > innerWidth) found.push(`the page is ${screen.scrollWidth} px wide`);
    for (const one of document.querySelectorAll(".table-responsive, dialog, pre, fieldset, .card"))
        if (one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).display !== "inline")
            fault("goes on beyond its edge", one);
    for (const cell of document.querySelectorAll(".table > tbody > tr > td")) {
        const style = getComputedStyle(cell);
        if (style.display === "none") {
            if (cell.innerText.trim() || cell.querySelector("input, select, button, a")) fault("hidden", cell);
            continue;
        }
        if (style.display === "table-cell") {
            if (innerWidth < 576 && cell.offsetParent) fault("no card", cell);
        } else if (getComputedStyle(cell, "::before").content.length < 3 && !cell.querySelector(".btn, input"))
            fault("no label", cell);
    }
    const pressed = "a[href], button, input:not([type=hidden]), select, textarea, summary";
    const words = one => [...one.childNodes].some(
        node => node.nodeType === 3 ? node.data.trim() : node.nodeType === 1 && !node.matches(pressed) && words(node));
    const inSentence = link => {
        if (getComputedStyle(link).display !== "inline") return false;
        let block = link.parentElement;
        while (getComputedStyle(block).display === "inline") block = block.parentElement;
        return words(block);
    };
    for (const one of document.querySelectorAll(pressed)) {
        const boxes = [one, ...one.labels ?? []].map(part => part.getBoundingClientRect());
        const [left, top] = ["left", "top"].map(side => Math.min(...boxes.map(box => box[side])));
        const [right, bottom] = ["right", "bottom"].map(side => Math.max(...boxes.map(box => box[side])));
        if (right - left <= 1 || !one.checkVisibility({visibilityProperty: true})) continue;
        if (one.matches(".visually-hidden, .visually-hidden-focusable:not(:focus)")) continue;
        if (left < -1 || right > innerWidth + 1) fault("beyond the edge of the screen", one);
        if (touched && Math.min(right - left, bottom - top) < 43.5 && !(one.matches("a") && inSentence(one)))
            fault(`${Math.round(right - left)} x ${Math.round(bottom - top)} px are too small to be touched`, one);
    }
    return found;
}"""


def misfits(page: Page, width: int) -> list[str]:
    """Set the window to that width, and find what does not fit it, lists without labels, and targets of under 44 px."""
    page.set_viewport_size({"width": width, "height": 900})
    found: list[str] = page.evaluate(FAULTS, width < TOUCHED_BELOW_PX)
    return [f"{width} px: {one}" for one in found]

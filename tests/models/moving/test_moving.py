from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from models.audit.checks import audit
from models.members.memberships import Member
from models.moving import imports
from models.moving.columns import Kind
from models.statements import statement
from tests.models.gym import NOW, Gym
from tests.models.moving.conftest import Moved

PEOPLE = """email;name;club;offer;picks;joined;endpoint;billing references;frozen from;ends
ann@example.com;Ann Archer;Downtown;Gold;Spin | Training;2024-03-01;stripe;sub_1 | gocardless:MD1;;
"""
BALANCES = "email,item,left,of,last day,value,note\nann@example.com,Spin,3,10,2099-12-31,120.00 USD,pass\n"


def test_it(open_gym: Gym, bring: Moved, make: sessionmaker[Session]) -> None:
    made = bring(Kind.PEOPLE, PEOPLE, write=True)
    print(made.state, made.problem, made.new_rows, made.refused_rows)
    with make() as session:
        print(imports.rows(session, made.id, limit=10))
    made = bring(Kind.BALANCES, BALANCES, write=True)
    print(made.state, made.problem, made.new_rows, made.refused_rows)
    with make() as session:
        print(imports.rows(session, made.id, limit=10))
        ann = session.scalars(select(Member)).one()
        for e in statement.entries(session, ann.id):
            print(e.kind, e.quantity, e.balance, e.note)
        print(list(audit(session)))
    for kind, text in ((Kind.PEOPLE, PEOPLE), (Kind.BALANCES, BALANCES)):
        made = bring(kind, text)
        print(made.state, made.same_rows, made.new_rows, made.conflict_rows)
    assert 0

"""Every error that the rules raise, by subject: `from models.errors import TooFewSessions`.

Imports nothing else of ours but the language. An error's docstring is its message, which says what to do.
"""

from models.errors.base import *
from models.errors.catalogue import *
from models.errors.database import *
from models.errors.life import *
from models.errors.members import *
from models.errors.moving import *
from models.errors.operations import *
from models.errors.reports import *
from models.errors.sessions import *
from models.errors.staff import *

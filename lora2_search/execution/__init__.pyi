from .cluster import max_concurrent_runs as max_concurrent_runs
from .engine import RunList as RunList
from .engine import execute as execute
from .interruption import Interruption as Interruption
from .schedulers import make_scheduler as make_scheduler
from .session import run_session as run_session
from .trainable import TrialTrainable as TrialTrainable

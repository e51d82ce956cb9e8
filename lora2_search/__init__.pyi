from .api import ablate as ablate
from .api import add_trial as add_trial
from .api import compare as compare
from .api import evaluate as evaluate
from .api import generate as generate
from .api import load_study as load_study
from .api import predict as predict
from .api import reproduce as reproduce
from .api import stop_trial as stop_trial
from .api import train as train
from .api import tune as tune
from .api import verify as verify
from .config import score as score
from .training import Lora2Callback as Lora2Callback

__version__: str

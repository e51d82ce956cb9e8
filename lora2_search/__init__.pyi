from .config import score as score
from .experiments import ablate as ablate
from .experiments import load_study as load_study
from .experiments import train as train
from .experiments import tune as tune
from .training import Lora2Callback as Lora2Callback

__version__: str

from .plan import Plan as Plan
from .plan import chosen_plan as chosen_plan
from .plan import damaged_parts as damaged_parts
from .plan import parts_done as parts_done
from .plan import told_rows as told_rows
from .run import Verification as Verification
from .run import verify as verify

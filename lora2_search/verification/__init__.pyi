from .page.rows import claims_table as claims_table
from .page.rows import read_rows as read_rows
from .plan import Plan as Plan
from .plan import damaged_parts as damaged_parts
from .plan import make_plan as make_plan
from .plan import parts_done as parts_done
from .run import Verification as Verification
from .run import verify as verify

"""How a process of benchmarks/step_time.py answers: a line of JSON for each line of JSON.

Only the standard library, as the PyTorch side may run in an interpreter that knows no more.
"""

import json
import os
import signal
import sys
import traceback


def serve(side: object) -> None:
    """Answers the lines of stdin until it ends: {"do": NAME, ...} calls that method of `side`.

    The answer is what the method returns, or {"error": ...}. What libraries print goes to stderr.
    """
    # Ctrl-C is for the command, which ends its processes.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        message = json.loads(line)
        try:
            answer = getattr(side, message.pop("do"))(**message)
        except Exception as error:
            if os.environ.get("COLORIZER_DEBUG"):
                traceback.print_exc()
            reason = (str(error).strip() or "no reason given").splitlines()[0]
            answer = {"error": f"{type(error).__name__}: {reason}"}
        print(json.dumps(answer), file=answers, flush=True)

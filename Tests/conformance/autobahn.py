"""Starts Autobahn's fuzzing client and judges its report. Python 2.7, called by ./run.

A case passes when its behaviour is OK, NON-STRICT or INFORMATIONAL and its connection was closed
as the case wants it (OK or INFORMATIONAL). Every case of the selection must be in the report.
"""
from __future__ import print_function

import collections
import json
import os
import site
import socket
import subprocess
import sys
import time

RUNNER = (
    "import site, sys; site.addsitedir(sys.argv[1]); "
    "sys.argv = ['wstest', '-m', 'fuzzingclient', '-s', sys.argv[2]]; "
    "from autobahntestsuite.wstest import run; run()"
)
GOOD_BEHAVIOUR = ("OK", "NON-STRICT", "INFORMATIONAL")
GOOD_CLOSE = ("OK", "INFORMATIONAL")
# Cases of sections 1 to 10, 12 and 13 in the pinned suite.
CASES_EXPECTED = 517


def wait_for(port):
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except socket.error:
            time.sleep(0.05)
    sys.exit("conformance: the daemon did not come up")


def main():
    folder, port, work = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    selection = sys.argv[4:] or ["*"]
    wait_for(port)
    spec = {
        "outdir": os.path.join(work, "reports"),
        "options": {"failByDrop": False},
        "servers": [{"agent": "omni2", "url": "ws://127.0.0.1:%d/ws/echo" % port}],
        "cases": selection,
        "exclude-cases": [],
        "exclude-agent-cases": {},
    }
    path = os.path.join(work, "fuzzingclient.json")
    with open(path, "w") as out:
        json.dump(spec, out)
    with open(os.path.join(work, "client.log"), "w") as log:
        status = subprocess.call(
            [sys.executable, "-W", "ignore", "-c", RUNNER, folder, path], stdout=log,
            stderr=subprocess.STDOUT, cwd=work)
    if status != 0:
        with open(os.path.join(work, "client.log")) as log:
            sys.stderr.write(log.read()[-2000:])
        sys.exit("conformance: the fuzzing client failed")
    with open(os.path.join(work, "reports", "index.json")) as report:
        results = json.load(report)["omni2"]
    judge(results, selection)


def judge(results, selection):
    sections = collections.OrderedDict()
    bad = []
    order = sorted(results, key=lambda name: [int(part) for part in name.split(".")])
    for case in order:
        result = results[case]
        section = sections.setdefault(case.split(".")[0], collections.Counter())
        section[result["behavior"]] += 1
        if result["behavior"] not in GOOD_BEHAVIOUR or result["behaviorClose"] not in GOOD_CLOSE:
            bad.append((case, result["behavior"], result["behaviorClose"]))
    for section, counts in sections.items():
        words = ", ".join("%d %s" % (count, word) for word, count in sorted(counts.items()))
        print("section %s: %s" % (section, words))
    for case, behaviour, close in bad:
        print("case %s: %s, close %s" % (case, behaviour, close))
    if selection == ["*"] and len(results) != CASES_EXPECTED:
        bad.append(("count", len(results), CASES_EXPECTED))
        print("%d cases ran, %d expected" % (len(results), CASES_EXPECTED))
    print("%d passed, %d failed" % (len(results) - len([b for b in bad if b[0] != "count"]), len(bad)))
    sys.exit(1 if bad else 0)


site.addsitedir(sys.argv[1])
main()

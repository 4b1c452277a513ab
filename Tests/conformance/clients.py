"""Runs Autobahn's fuzzing clients and judges their reports. Python 2.7, called by ./run.

A case passes when its behaviour is OK, NON-STRICT or INFORMATIONAL and its connection was closed
as the case wants it (OK or INFORMATIONAL). Every case of the selection must be in the reports.

The suite's client takes one case after the other and most of its time is its own: the cases are
dealt out to several clients. It gives a peer one second to answer a close frame and one more to
hang up; on a machine that does something else at the same time its own Python needs longer than
that to get round to reading the answer. So the client is told to be patient: a server that really
does not answer is still found out, later.
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
CLIENTS = 3
PATIENCE_SECONDS = 20
# All clients together. A machine that needs longer cannot judge anybody.
LIMIT_SECONDS = 9 * 60


def wait_for(port):
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except socket.error:
            time.sleep(0.05)
    sys.exit("conformance: the daemon did not come up")


def select(patterns):
    """The ids of the cases that the patterns name, in order."""
    from autobahntestsuite import case, caseset
    known = caseset.CaseSet(case.CaseSetname, case.CaseBasename, case.Cases, case.CaseCategories,
                            case.CaseSubCategories)
    return known.parseSpecCases({"cases": patterns})


def start(folder, port, work, number, cases):
    """One client with its share of the cases, in a folder of its own."""
    own = os.path.join(work, "client%d" % number)
    os.mkdir(own)
    spec = {
        "outdir": os.path.join(own, "reports"),
        "options": {
            "failByDrop": False,
            "openHandshakeTimeout": PATIENCE_SECONDS,
            "closeHandshakeTimeout": PATIENCE_SECONDS,
            "serverConnectionDropTimeout": PATIENCE_SECONDS,
        },
        "servers": [{"agent": "omni2", "url": "ws://127.0.0.1:%d/ws/echo" % port}],
        "cases": cases,
        "exclude-cases": [],
        "exclude-agent-cases": {},
    }
    path = os.path.join(own, "fuzzingclient.json")
    with open(path, "w") as out:
        json.dump(spec, out)
    with open(os.path.join(own, "client.log"), "w") as log:
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", RUNNER, folder, path], stdout=log,
            stderr=subprocess.STDOUT, cwd=own)
    return own, process


def finish(clients):
    """Waits for all, within the limit; their results in one table."""
    deadline = time.time() + LIMIT_SECONDS
    problem = None
    while any(process.poll() is None for _, process in clients):
        if time.time() > deadline:
            problem = "the cases took more than %d s: the machine is too busy" % LIMIT_SECONDS
            break
        time.sleep(0.1)
    results = {}
    for own, process in clients:
        if process.poll() is None:
            process.kill()
        if process.wait() != 0 and not problem:
            with open(os.path.join(own, "client.log")) as log:
                sys.stderr.write(log.read()[-2000:])
            problem = "a fuzzing client failed"
        report = os.path.join(own, "reports", "index.json")
        if os.path.exists(report):
            with open(report) as text:
                results.update(json.load(text)["omni2"])
    return results, problem


def by_number(name):
    return [int(part) for part in name.split(".")]


def judge(results, cases, is_complete, took):
    sections = collections.OrderedDict()
    passed, bad = 0, []
    for case in sorted(results, key=by_number):
        result = results[case]
        sections.setdefault(case.split(".")[0], collections.Counter())[result["behavior"]] += 1
        if result["behavior"] in GOOD_BEHAVIOUR and result["behaviorClose"] in GOOD_CLOSE:
            passed += 1
        else:
            bad.append("case %s: %s, close %s, after %.1f s" % (
                case, result["behavior"], result["behaviorClose"], result["duration"] / 1000.0))
    for section, counts in sections.items():
        words = ", ".join("%d %s" % (count, word) for word, count in sorted(counts.items()))
        print("section %s: %s" % (section, words))
    bad += ["case %s: not in the report" % case for case in cases if case not in results]
    if is_complete and len(cases) != CASES_EXPECTED:
        bad.append("the suite has %d cases, %d expected" % (len(cases), CASES_EXPECTED))
    longest = sorted(results, key=lambda case: -results[case]["duration"])[:3]
    print("%d cases in %.0f s, longest %s" % (len(results), took, ", ".join(
        "%s %.1f s" % (case, results[case]["duration"] / 1000.0) for case in longest)))
    for line in bad:
        print(line)
    return passed, len(bad)


def main():
    folder, port, work = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    patterns = sys.argv[4:] or ["*"]
    cases = select(patterns)
    wait_for(port)
    begin = time.time()
    shares = [share for share in (cases[n::CLIENTS] for n in range(CLIENTS)) if share]
    clients = [start(folder, port, work, number, share) for number, share in enumerate(shares)]
    results, problem = finish(clients)
    passed, failed = judge(results, cases, patterns == ["*"], time.time() - begin)
    if problem:
        print("conformance: %s" % problem, file=sys.stderr)
        failed = failed or 1
    print("%d passed, %d failed" % (passed, failed))
    sys.exit(1 if failed else 0)


site.addsitedir(sys.argv[1])
main()

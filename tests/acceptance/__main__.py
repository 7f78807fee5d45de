"""python -m tests.acceptance local|docker|k8s [--design views] [options] [-w json]

Plays the steps of a design's scenario on a real cluster, and says of each what is done and what
came of it. Exit code 0 if all is as it has to be, 1 if not, 2 for wrong usage. With `-w json` the
report is one JSON document on stdout, and the story goes to stderr.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import mkdtemp

from raftzmq import __version__
from tests import told
from tests.acceptance.docker import Docker
from tests.acceptance.expectation import Unmet, run
from tests.acceptance.k8s import Kubernetes
from tests.acceptance.local import Local
from tests.acceptance.platforms import Platform
from tests.acceptance.report import Narrator, Report
from tests.acceptance.scenario import Scenario
from tests.acceptance.views_k8s import ViewsKubernetes
from tests.acceptance.views_platforms import ViewsDocker, ViewsLocal, ViewsPlatform
from tests.acceptance.views_scenario import ViewsScenario
from tests.acceptance.with_kubectl import Target


def play(
    make: Callable[[Callable[[str], None]], Platform | ViewsPlatform],
    narrator: Narrator,
    evidence: Path,
    keep: bool = False,
) -> Report:
    """Run the platform's scenario on it, and leave nothing behind unless `keep`."""
    platform = make(narrator.say)
    try:
        if isinstance(platform, ViewsPlatform):
            return ViewsScenario(platform, narrator, evidence).run()
        return Scenario(platform, narrator, evidence).run()
    finally:
        if keep:
            narrator.say(f"kept: {platform.whereabouts()}")
        else:
            platform.close()


def main(arguments: Sequence[str] | None = None) -> int:
    given = parser().parse_args(arguments)
    narrator = Narrator(sys.stderr if given.output == "json" else sys.stdout)
    evidence = Path(given.evidence or mkdtemp(prefix="raftzmq-acceptance-evidence-"))
    try:
        report = play(maker(given), narrator, evidence, given.keep)
    except Unmet as unmet:  # in the making or the taking down
        print(f"acceptance run on {given.platform}: {unmet}", file=sys.stderr)
        return 1
    if not report.failure and not given.evidence:
        evidence.rmdir()
    if given.output == "json":
        print(json.dumps(report.document, indent=2))
    else:
        print("\n".join(report.lines()))
    return 0 if report.passed else 1


def maker(
    given: argparse.Namespace,
) -> Callable[[Callable[[str], None]], Platform | ViewsPlatform]:
    """What makes the platform that was asked for."""
    image = given.image or f"{given.registry}/raftzmq:{given.tag or __version__}"
    views = given.design == "views"
    if given.platform == "local":
        return ViewsLocal if views else Local
    if given.platform == "docker":
        if views:
            return lambda say: ViewsDocker(say, image)
        return lambda say: Docker(say, image, given.second_image)
    target = Target(
        context=given.context or current_context(),
        namespace=given.namespace,
        worker_stop=given.worker_stop,
        worker_start=given.worker_start,
        second_image=given.second_image,
        deploy=given.deploy,
        overlay=given.overlay,
        image=image,
    )
    return lambda say: ViewsKubernetes(say, target) if views else Kubernetes(say, target)


def current_context() -> str:
    """The context that kubectl uses by itself. Raises Unmet if there is none."""
    return run("kubectl", "config", "current-context").expect().out.strip()


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.acceptance",
        description="Play the steps of the acceptance run on a real cluster.",
    )
    parser.add_argument("platform", choices=["local", "docker", "k8s"])
    parser.add_argument("--design", choices=["raft", "views"], default="raft")
    parser.add_argument("-w", "--output", choices=["simple", "json"], default="simple")
    parser.add_argument("--keep", action="store_true", help="leave the cluster as it is in the end")
    parser.add_argument("--evidence", help="where to put logs and more if the run does not pass")
    image = parser.add_argument_group("docker and k8s")
    image.add_argument("--image", help="the image; REGISTRY/raftzmq:TAG by default")
    image.add_argument("--registry", default="localhost:5001")
    image.add_argument("--tag", help="raftzmq's version by default")
    image.add_argument("--second-image", help="the image to roll to; made of the first by default")
    k8s = parser.add_argument_group("k8s")
    k8s.add_argument("--context", help="kubectl's context; the current one by default")
    k8s.add_argument("--namespace", default="default")
    k8s.add_argument(
        "--worker-stop",
        default="docker stop {}",
        help="takes a worker down; {} is its name: '%(default)s'",
    )
    k8s.add_argument(
        "--worker-start",
        default="docker start {}",
        help="brings it back: '%(default)s'",
    )
    k8s.add_argument(
        "--deploy",
        action="store_true",
        help="make a deployment of --image and take it down in the end; without it the one that is "
        "there is used",
    )
    k8s.add_argument("--overlay", help="what of kube/ to deploy, as of 'raftzmq cluster apply'")
    return parser


if __name__ == "__main__":
    sys.exit(told.run(main))

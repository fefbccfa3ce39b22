"""What the tests of all packages share."""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

DOMAINS = range(1, 101)
FIRST = itertools.count(os.getpid())
CLAIM_PORT = 61000
"""A domain is taken as long as somebody listens on its port above this one, where the kernel hands out none."""


@contextmanager
def claimed_domain() -> Iterator[None]:
    """Take a domain for as long as the block lasts."""
    with socket.socket() as claim, pytest.MonkeyPatch.context() as patch:
        first = next(FIRST)
        for domain in itertools.islice(itertools.cycle(DOMAINS), first, first + len(DOMAINS)):
            try:
                claim.bind(("127.0.0.1", CLAIM_PORT + domain))
            except OSError:
                continue
            break
        else:
            pytest.fail("all ROS domains are taken")
        patch.setenv("ROS_DOMAIN_ID", str(domain))
        patch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
        yield


@pytest.fixture(scope="session")
def ros_domain() -> Callable[[], AbstractContextManager[None]]:
    """A ROS domain that no other test on this machine is in, not even one of another run at the same time."""
    return claimed_domain

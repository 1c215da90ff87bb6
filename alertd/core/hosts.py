"""What a host's name tells about where it is."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine by another name."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")

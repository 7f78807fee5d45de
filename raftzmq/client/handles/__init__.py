"""Leases, locks, semaphores, elections and watches: what they do, once for both clients.

What decides is in the session; these objects hand it in and wait. What waits is a coroutine with a
private name, which each client publishes in its way: `acquire = Claim._acquire` waits in an event
loop, `acquire = blocking(Claim._acquire)` in the thread that calls.
"""

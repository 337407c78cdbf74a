"""What each port promises, one test for each sentence of its docstring.

The law of this package: nothing is known of a backend but its port. A third party's whole test file
is a subclass with one fixture::

    class TestMyLimiter(RateLimiterContract):
        @pytest.fixture
        def limiter(self):
            return MyLimiter()

The test of a sentence has the sentence for a name. Keys, ids and addresses are new in each test, so
that one backend may serve all tests of a class.

Some sentences are about the medium: what is durable, what happens when it is away or full. A
backend shows them by overriding ``reopen``, ``broken`` and ``full`` as well; a backend that leaves
them alone is not asked. A backend that cannot keep a promise at all sets that test to None and says
so in its docstring.
"""

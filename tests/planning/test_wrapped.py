"""A method that wraps another: whose fits, needs, groups and keys it has, and what it may not wrap."""

from dataclasses import replace

import pytest
from pydantic import Field

from harness import UNHASHED, DistilledSet, Method, register_method
from harness.api.run import prepare
from harness.core.errors import UserError
from harness.core.plugin import discovery
from harness.core.plugin.discovery import load_method
from harness.planning.plan import MethodPlan
from harness.planning.planner import make_plan
from harness.planning.request import make_request
from harness.planning.rerun import Reasons
from tests.planning.test_plan import Fitted, given


class Inner(Fitted):
    """Fitted in groups of two classes, with an option that is in no key."""

    name = "inner"

    class Config(Fitted.Config):
        """Options."""

        batch: int = 8
        quick: int = Field(1, json_schema_extra=UNHASHED)


class Wrapper(Method):
    """Needs a teacher of its own accord, and whatever it wraps."""

    name = "wrapper"
    needs = {"teacher"}

    class Config(Method.Config):
        """Options."""

        of: str = "inner"

    def wraps(self):
        return self.config.of

    def synthesize(self, task, state, ipc):
        return DistilledSet({})


def inner_plan(code="inner code", cls=Inner, **config):
    return MethodPlan("inner", cls, cls.Config(**config).model_dump(), code)


def plan_of(inner=None, *others, **changes):
    wrapper = MethodPlan("wrapper", Wrapper, {"of": "inner"}, "code", inner=inner or inner_plan())
    return make_plan(given(methods=(wrapper, *others), **changes))


def jobs(plan, kind, method):
    return {key: job for key, job in plan.jobs.items() if job.kind == kind and job.spec.get("method") == method}


def test_its_fits_are_those_of_the_method_that_it_wraps():
    alone = make_plan(given(methods=(inner_plan(),)))
    both = plan_of(None, inner_plan())
    assert set(jobs(both, "fit", "inner")) == set(jobs(alone, "fit", "inner"))
    assert not jobs(both, "fit", "wrapper")
    for job in jobs(both, "synthesize", "wrapper").values():
        fits = [both.jobs[key] for key in job.deps["fit"]]
        assert [fit.spec["group"] for fit in fits] == [["0", "1"], ["2", "3"]]
        assert job.spec["group_size"] == 2
        assert {fit.spec["seed"] for fit in fits} == {job.spec["seed"]}
    assert {row.fits for row in both.rows if row.method == "wrapper"} == {
        row.fits for row in both.rows if row.method == "inner"
    }


def test_it_stands_on_what_both_need_and_the_inner_fits_on_their_own_needs():
    class OnlyGenerator(Inner):
        needs = {"class_conditional_generator"}

    plan = plan_of(inner_plan(cls=OnlyGenerator))
    assert all(set(job.deps) == {"class_conditional"} for job in jobs(plan, "fit", "inner").values())
    made = jobs(plan, "synthesize", "wrapper").values()
    assert all(set(job.deps) == {"class_conditional", "teacher", "fit"} for job in made)


def test_its_key_has_what_the_key_of_the_inner_method_has():
    def keys(inner):
        return set(jobs(plan_of(inner), "synthesize", "wrapper"))

    for cls in (Inner, type("NoFit", (Inner,), {"fit": Method.fit})):  # a fit would bring its own key
        plain = keys(inner_plan(cls=cls))
        newer = type("Newer", (cls,), {"version": 2})
        for other in (inner_plan("edited", cls), inner_plan(cls=cls, batch=16), inner_plan(cls=newer)):
            assert not keys(other) & plain
        assert keys(inner_plan(cls=cls, quick=3)) == plain
        assert keys(inner_plan(cls=cls, batch=8)) == plain


def test_a_job_builds_both_from_its_specification():
    register_method("wrapper")(Wrapper)
    register_method("inner")(Inner)
    job = next(iter(jobs(plan_of(inner_plan(batch=16)), "synthesize", "wrapper").values()))
    method = load_method(job.spec)
    assert isinstance(method, Wrapper)
    assert isinstance(method.inner, Inner)
    assert method.inner.config.batch == 16
    assert method.inner.inner is None


def test_a_later_plan_says_what_changed_in_the_inner_method():
    def told(now):
        old, new = (next(iter(jobs(plan, "synthesize", "wrapper").values())) for plan in (plan_of(), now))
        earlier = {"key": old.key, "identity": old.identity, "spec": old.spec}
        return Reasons(now, {new.key}, {new.key: earlier}).of(new)

    assert told(plan_of(inner_plan("edited", batch=16))) == "inner.batch 8 -> 16, code of inner changed"
    other = replace(inner_plan("other code", batch=16), name="other")
    assert told(plan_of(other)) == "wrapper wraps other instead of inner"


def test_a_wrapper_over_another_method_is_another_work_to_an_estimate():
    from harness.planning.estimate import _what

    (job, *_) = jobs(plan_of(), "synthesize", "wrapper").values()
    assert _what(job.spec, job.kind) == "wrapper over inner, 16 px"


DRAWN = '''
from harness import DistilledSet, Method, register_method

@register_method("drawn")
class Drawn(Method):
    """Needs what no suite has, on request."""
    needs = {needs}
    class Config(Method.Config):
        size: int = 1
    def synthesize(self, task, state, ipc): ...
'''
WRAPPING = """
from harness import DistilledSet, Method, register_method

@register_method("wrapping")
class Wrapping(Method):
    class Config(Method.Config):
        of: str = "drawn"
    def wraps(self):
        return self.config.of
    def synthesize(self, task, state, ipc): ...
"""


@pytest.fixture
def request_of(tiny_suite, tmp_path):
    """Make a request of the method `wrapping`; its file and that of what it wraps are loaded already, no --plugin names them."""

    def make(needs="set()", **settings):
        (tmp_path / "drawn.py").write_text(DRAWN.replace("{needs}", needs))
        (tmp_path / "wrapping.py").write_text(WRAPPING)
        for name in ("drawn.py", "wrapping.py"):
            discovery.load_plugin(tmp_path / name)
        return make_request(
            suite=tiny_suite, methods=["wrapping"], settings=settings, executor="local", store=str(tmp_path / "store")
        )

    return make


def test_options_of_the_inner_method_are_the_suites_and_the_users(request_of):
    resolved, plan = prepare(request_of(**{"drawn.size": 3}))
    job = next(iter(jobs(plan, "synthesize", "wrapping").values()))
    assert job.spec["inner"]["config"] == {"size": 3}
    assert resolved.plan_input.method_names() == ["wrapping", "drawn"]
    assert resolved.plan_input.methods[0].options == {"of": "drawn", "drawn.size": 3}


def test_the_source_of_the_inner_method_goes_to_the_workers(request_of):
    resolved, _ = prepare(request_of())
    assert any('register_method("drawn")' in source for p in resolved.context.plugins for _, source in p.files)


def test_what_keeps_the_inner_method_from_running_keeps_the_wrapper(request_of):
    resolved, plan = prepare(request_of("{'moon_generator'}"))
    told = "wrapping wraps drawn: suite tiny provides no moon_generator"
    assert resolved.plan_input.methods[0].skip == told
    assert {row.skip for row in plan.rows} == {told}


@pytest.mark.parametrize(
    ("of", "told"),
    [
        ("wrapping", "that method is itself a wrapper"),
        ("ims3", "that method is itself a wrapper"),
        ("full", "that method trains on all real images and distils no set"),
        ("drwan", "there is no method of that name. Did you mean 'drawn'"),
    ],
)
def test_what_cannot_be_wrapped_is_told(request_of, of, told):
    with pytest.raises(UserError, match=f"(?s)method 'wrapping' wraps '{of}': {told}.*It can wrap: .*dit"):
        prepare(request_of(**{"wrapping.of": of}))


def test_a_wrapper_has_no_fit_of_its_own(request_of):
    request = request_of()
    discovery.methods.get("wrapping").fit = lambda self, task: {}
    with pytest.raises(UserError, match="must not define fit"):
        prepare(request)

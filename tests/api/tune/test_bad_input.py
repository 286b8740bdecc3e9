"""What is wrong in a tuning is one message and exit code 2, and nothing is written."""

import pytest

CASES = {
    "unknown option": (["--space", "blend.noize=linear(0,1)"], "unknown option 'noize'. Did you mean 'noise'?"),
    "unknown method in the space": (
        ["--space", "blen.noise=linear(0,1)"],
        "'blen' is no method. Did you mean 'blend'?",
    ),
    "another method in the space": (["--space", "dit.guidance=log(1,2)"], "'dit' is not a method"),
    "empty range": (["--space", "blend.noise=linear(1,1)"], "the range is empty: 1 is not below 1"),
    "not a search range": (["--space", "blend.noise=0.1"], "'0.1' is not a search range"),
    "no form": (["--space", "blend.noise"], "expected METHOD.OPTION=log(LOW,HIGH)"),
    "refused values": (["--space", "blend.noise=linear(0,2)"], "less than or equal to 1"),
    "no file": (["--space", "none.yaml"], "--space none.yaml: cannot be read"),
    "share too large": (["--validation", "0.999"], "leaves no images of class 8 in one of the splits"),
    "share above one": (["--validation", "1.5"], "field 'validation'"),
    "full data": (["--methods", "full"], "--methods full: it trains on all real images"),
    "no method": (["--methods", "blendd"], "unknown method 'blendd'. Did you mean 'blend'?"),
    "metric": (["--metric", "top2_last"], "field 'metric'"),
    "sampler": (["--sampler", "bayes"], "field 'sampler'"),
    "time": (["--time", "soon"], "--time: 'soon' is not a duration"),
    "objectives": (["--objectives", "time"], "--objectives: expected accuracy, or accuracy,time"),
    "protocol field": (["--tune-protocol", "lrr"], "unknown option 'lrr'"),
    "protocol field without a range": (["--tune-protocol", "momentum"], "it has no declared range"),
    "group": (["--suite", "remote_sensing"], "tuning uses one suite"),
    "grid": (["--sampler", "grid", "--trials", "2", "--space", "blend.kind=choice(a,b,c,d)"], "allow more --trials"),
    "name": (["--name", "a/b"], "--name 'a/b'"),
    "setting": (["--set", "blend.noise=2"], "less than or equal to 1"),
}


@pytest.mark.parametrize("case", CASES)
def test_one_message_and_an_untouched_store(case, cli, tiny_suite, blend, tmp_path):
    arguments, said = CASES[case]
    chosen = [] if "--methods" in arguments else ["--methods", "blend"]
    store = tmp_path / "store"
    code, out, err = cli(
        "tune",
        "--suite",
        tiny_suite,
        "--ipc",
        "1",
        "--plugin",
        blend,
        "--store",
        store,
        "--device",
        "cpu",
        *chosen,
        *arguments,
    )
    assert code == 2, err
    assert said in " ".join(err.split())
    assert (out, "Traceback" in err) == ("", False)
    assert not store.exists()


def test_methods_are_named_once(cli):
    for arguments in ([], ["dit", "--methods", "dit"]):
        code, _, err = cli("tune", *arguments)
        assert code == 2
        assert "give the methods once" in err


def test_a_name_belongs_to_one_request(tuned):
    tuned(trials=2, sampler="random", name="mine")
    with pytest.raises(Exception, match=r"a different request \(seed\)"):
        tuned(trials=2, sampler="random", name="mine", seed=1)

"""Mistakes in writing runs to send and in reading those of strangers."""

from tests.mutations.kind import Mutation as M

_TEST = "tests/api/test_bundle.py"
_HOSTILE = f"{_TEST}::test_a_hostile_bundle_is_one_message_and_nothing_is_written"

BUNDLES = (
    M("bundle: sizes are those that the zip states", "harness/core/bundle_files.py",
      "    if len(content) > most:", "    if False:", _HOSTILE + "[bomb_in_a_zip]"),
    M("bundle: a list of a million entries is read", "harness/core/bundle_files.py",
      "or _has_locator(tail[:at])", "", _HOSTILE + "[many_files_by_zip64]"),
    M("bundle: links are files", "harness/core/bundle_files.py",
      "if kind not in (0, stat.S_IFREG):", "if False:", _HOSTILE + "[link]"),
    M("bundle: sums are not compared", "harness/core/bundle_files.py",
      "or hashlib.sha256(content).hexdigest() != info[\"sha256\"]", "", _HOSTILE + "[wrong_sum]"),
    M("bundle: a key is what it says", "harness/reporters/bundles/keys.py",
      "if (own := key_of(identity)) != key:", "if not (own := key_of(identity)):", _HOSTILE + "[forged_key]"),
    M("bundle: seeds are taken on trust", "harness/reporters/bundles/keys.py",
      "yield \"seeds\", seeds.derive(seed, \"set\", set_seed) if set_seed else seed, spec.get(\"seed\")", "pass",
      _HOSTILE + "[another_training_seed]"),
    M("bundle: NaN is not a number and no matter", "harness/reporters/bundles/read.py",
      "return parse_json(text, f\"bundle {path}: {name}\", strict=True)", "return parse_json(text, f\"bundle {path}: {name}\")",
      _HOSTILE + "[nan]"),
    M("bundle: host names are sent", "harness/reporters/bundles/private.py",
      "return self._hosts.sub(\"a host\", text) if prose else text", "return text",
      f"{_TEST}::test_texts_of_a_run_lose_paths_hosts_and_logins"),
    M("bundle: rows of two senders are one", "harness/reporters/bundles/unpacked.py",
      "    if sent is None:\n        return records\n", "    if sent is None or sent.suffix:\n        return records\n",
      f"{_TEST}::test_bundles_of_two_senders_are_told_apart"),
    M("bundle: the sender's picture is passed on", "harness/reporters/bundles/unpacked.py",
      "if safe := safe_png(content):", "if safe := content:",
      f"{_TEST}::test_pictures_are_encoded_again_and_what_is_none_is_left_out"),
)  # fmt: skip

"""Full: the student on all real training data. The ceiling that every distilled set is measured against."""

from harness import Method, register_method


@register_method("full")
class Full(Method):
    """The reference row: nothing is distilled."""

    version = 1
    title = "Full data"
    reference = "the whole real training split"
    all_data = True

"""What the client's README shows works."""

import re
from pathlib import Path

README = Path(__file__).parents[2] / "clients" / "python" / "README.md"


def test_the_example_for_tests_runs() -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    example = next(block for block in blocks if "FakeServer" in block)
    exec(compile("import httpx\n" + example, str(README), "exec"), {})

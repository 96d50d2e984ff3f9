"""`python -m bench.present` writes the JSON Schema files anew."""

from __future__ import annotations

from bench.present.schema import json_schemas

if __name__ == "__main__":
    for path, text in json_schemas().items():
        path.write_text(text, encoding="utf-8")
        print(path)

"""Made this folder's data: files of 26 kinds under names that do not tell; h5py, pandas and Pillow write some of them.

    python jobs/filetypes/prepare.py

data/:      file_00 to file_51, two of each kind
labels.csv: what magika should call each
"""

import bz2
import csv
import gzip
import io
import json
import random
import sqlite3
import tarfile
import tempfile
import wave
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from PIL import Image

HERE = Path(__file__).resolve().parent
WORDS = ["river", "stone", "lamp", "market", "window", "garden", "paper", "bridge", "winter", "engine", "letter"]

PYTHON = '''
import argparse
from pathlib import Path


def count_{0}(path: Path) -> int:
    """How many lines of a file hold the word."""
    with path.open(encoding="utf-8") as file:
        return sum("{0}" in line for line in file)


def main() -> None:
    parser = argparse.ArgumentParser(description="Counts {0} in {1}.")
    parser.add_argument("paths", nargs="+", type=Path)
    for path in parser.parse_args().paths:
        print(path, count_{0}(path))


if __name__ == "__main__":
    main()
'''
JAVASCRIPT = """
const express = require("express");
const app = express();
app.use(express.json());

const {0} = new Map();

app.get("/{0}/:id", (request, response) => {{
  const found = {0}.get(request.params.id);
  if (found === undefined) {{
    return response.status(404).json({{ error: "no such {1}" }});
  }}
  response.json(found);
}});

app.listen(3000, () => console.log(`{1} listens on port ${{3000}}`));
module.exports = {{ app, {0} }};
"""
C = """
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct {0} {{
    char name[32];
    int {1};
    struct {0} *next;
}};

static struct {0} *{0}_new(const char *name, int {1})
{{
    struct {0} *self = malloc(sizeof *self);
    if (self == NULL)
        return NULL;
    strncpy(self->name, name, sizeof self->name - 1);
    self->{1} = {1};
    self->next = NULL;
    return self;
}}

int main(int argc, char **argv)
{{
    struct {0} *first = {0}_new(argc > 1 ? argv[1] : "{1}", argc);
    printf("%s %d\\n", first->name, first->{1});
    free(first);
    return 0;
}}
"""
JAVA = """
package org.example.{0};

import java.util.ArrayList;
import java.util.List;

public class {1}Store {{
    private final List<String> entries = new ArrayList<>();

    public void add(String entry) {{
        if (entry == null || entry.isEmpty()) {{
            throw new IllegalArgumentException("an empty {0}");
        }}
        entries.add(entry);
    }}

    @Override
    public String toString() {{
        return String.join(", ", entries);
    }}

    public static void main(String[] args) {{
        {1}Store store = new {1}Store();
        for (String argument : args) {{
            store.add(argument);
        }}
        System.out.println(store);
    }}
}}
"""
RUST = """
use std::collections::HashMap;
use std::fs;

#[derive(Debug, Clone)]
pub struct Count {{
    pub {0}: usize,
    pub {1}: usize,
}}

impl Count {{
    pub fn of(text: &str) -> Self {{
        Count {{ {0}: text.matches("{0}").count(), {1}: text.matches("{1}").count() }}
    }}
}}

fn main() -> Result<(), std::io::Error> {{
    let mut counts: HashMap<String, Count> = HashMap::new();
    for path in std::env::args().skip(1) {{
        let text = fs::read_to_string(&path)?;
        counts.insert(path, Count::of(&text));
    }}
    println!("{{:?}}", counts);
    Ok(())
}}
"""
HTML = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>The {0}</title><link rel="stylesheet" href="style.css"></head>
<body>
<h1>The {0}</h1>
<p>Every <em>{1}</em> has its own page. <a href="/{1}.html">More about it</a>.</p>
<ul><li>{0}</li><li>{1}</li></ul>
<form action="/search" method="get"><input name="q" type="text"><button>Search</button></form>
</body>
</html>
"""
CSS = """
:root {{ --{0}: #334455; --{1}: #ffeedd; }}
body {{ margin: 0 auto; max-width: 60rem; font-family: sans-serif; background: var(--{1}); }}
.{0} > a:hover {{ color: var(--{0}); text-decoration: underline; }}
#{1} {{ display: grid; grid-template-columns: 1fr 2fr; gap: 1rem; }}
@media (max-width: 600px) {{ #{1} {{ grid-template-columns: 1fr; }} }}
"""
SQL = """
CREATE TABLE {0} (
    id INTEGER PRIMARY KEY,
    name VARCHAR(80) NOT NULL,
    {1} DECIMAL(10, 2) DEFAULT 0
);
CREATE INDEX {0}_by_name ON {0} (name);
INSERT INTO {0} (id, name, {1}) VALUES (1, 'first', 12.50), (2, 'second', 7.25);
SELECT name, SUM({1}) AS total FROM {0} WHERE {1} > 5 GROUP BY name HAVING COUNT(*) > 1 ORDER BY total DESC;
"""
SHELL = """#!/bin/bash
set -euo pipefail
{0}_dir=${{1:-/var/lib/{0}}}
if [ ! -d "${0}_dir" ]; then
    echo "no such folder: ${0}_dir" >&2
    exit 1
fi
for file in "${0}_dir"/*.{1}; do
    [ -e "$file" ] || continue
    gzip -9 "$file" && echo "packed $(basename "$file")"
done
"""
MARKDOWN = """# The {0}

A short guide to the **{0}** and its *{1}*.

## Install

```sh
npm install {0}
```

## Use

1. Open the [{1}](https://example.org/{1}).
2. Choose a `{0}`.

| {0} | {1} |
| --- | --- |
| one | two |
"""
INI = """
[{0}]
name = {1}
timeout = 30
retries = 5

[paths]
data = /srv/{0}
logs = /var/log/{0}.log

[{1}]
enabled = true
"""
XML = """<?xml version="1.0" encoding="UTF-8"?>
<catalog xmlns="http://example.org/{0}">
  <{0} id="1"><title>First {1}</title><price currency="EUR">12.50</price></{0}>
  <{0} id="2"><title>Second {1}</title><price currency="EUR">7.25</price></{0}>
</catalog>
"""
YAML = """
version: "3.8"
services:
  {0}:
    image: registry.example.org/{0}:1.2
    ports:
      - "8080:80"
    environment:
      {1}: "yes"
    depends_on: [{1}]
  {1}:
    image: registry.example.org/{1}:latest
    volumes:
      - ./{1}:/data
"""
TEMPLATES = {
    "python": PYTHON, "javascript": JAVASCRIPT, "c": C, "java": JAVA, "rust": RUST, "html": HTML, "css": CSS,
    "sql": SQL, "shell": SHELL, "markdown": MARKDOWN, "ini": INI, "xml": XML, "yaml": YAML,
}  # fmt: skip


def table(chance: random.Random) -> pd.DataFrame:
    rows = range(30)
    names = [chance.choice(WORDS) for _ in rows]
    return pd.DataFrame({"id": list(rows), "name": names, "price": [chance.randint(1, 999) / 10 for _ in rows]})


def picture(chance: random.Random, format: str) -> bytes:
    rng = np.random.default_rng(chance.randrange(1000))
    coarse = rng.integers(0, 255, (6, 6, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(coarse).resize((48, 48)).save(buffer, format)
    return buffer.getvalue()


def sound(chance: random.Random) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        tone = np.sin(np.arange(2000) * chance.uniform(0.1, 0.5)) * 9000
        file.writeframes(tone.astype("<i2").tobytes())
    return buffer.getvalue()


def archive(chance: random.Random) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(f"{chance.choice(WORDS)}.txt", prose(chance))
    return buffer.getvalue()


def tape(chance: random.Random) -> bytes:
    buffer, text = io.BytesIO(), prose(chance).encode()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        entry = tarfile.TarInfo(f"{chance.choice(WORDS)}.txt")
        entry.size = len(text)
        file.addfile(entry, io.BytesIO(text))
    return buffer.getvalue()


def database(chance: random.Random) -> bytes:
    connection = sqlite3.connect(":memory:")
    connection.execute("create table goods (id integer, name text)")
    connection.executemany("insert into goods values (?, ?)", enumerate(chance.choices(WORDS, k=20)))
    connection.commit()
    return connection.serialize()


def hdf5(chance: random.Random) -> bytes:
    with tempfile.NamedTemporaryFile() as file:
        with h5py.File(file.name, "w") as store:
            store["values"] = np.array([chance.random() for _ in range(50)])
        return Path(file.name).read_bytes()


def prose(chance: random.Random) -> str:
    return " ".join(f"The {chance.choice(WORDS)} stands by the {chance.choice(WORDS)}." for _ in range(20))


BINARY: dict[str, Callable[[random.Random], bytes]] = {
    "png": lambda chance: picture(chance, "PNG"),
    "jpeg": lambda chance: picture(chance, "JPEG"),
    "gif": lambda chance: picture(chance, "GIF"),
    "wav": sound,
    "zip": archive,
    "tar": tape,
    "gzip": lambda chance: gzip.compress(prose(chance).encode(), mtime=0),
    "bzip": lambda chance: bz2.compress(prose(chance).encode()),
    "sqlite": database,
    "h5": hdf5,
    "parquet": lambda chance: table(chance).to_parquet(),
    "csv": lambda chance: table(chance).to_csv(index=False).encode(),
    "json": lambda chance: json.dumps(table(chance).to_dict("records"), indent=1).encode(),
}


def main() -> None:
    chance = random.Random(1)
    files = [(label, write(chance)) for label, write in BINARY.items() for _ in range(2)]
    for label, template in TEMPLATES.items():
        for _ in range(2):
            files.append((label, template.format(*chance.sample(WORDS, 2)).encode()))
    chance.shuffle(files)
    (HERE / "data").mkdir(exist_ok=True)
    with (HERE / "labels.csv").open("w", newline="", encoding="utf-8") as table:
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(["file", "label"])
        for number, (label, content) in enumerate(files):
            (HERE / "data" / f"file_{number:02d}").write_bytes(content)
            writer.writerow([f"file_{number:02d}", label])


if __name__ == "__main__":
    main()

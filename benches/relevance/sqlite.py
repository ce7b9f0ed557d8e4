#!/usr/bin/env python3
"""The same records and queries to SQLite FTS5, for comparison: bm25 over name and summary, porter stems, any word.

python3 benches/relevance/sqlite.py records.jsonl benches/relevance/queries.tsv"""

import json
import math
import sqlite3
import sys
import time

records, queries = sys.argv[1:3]
db = sqlite3.connect(":memory:")
db.execute("create virtual table p using fts5(name, summary, tokenize = 'porter unicode61')")
with open(records, encoding="utf8") as lines:
    rows = ((r["name"], r["summary"]) for r in map(json.loads, lines))
    db.executemany("insert into p values (?, ?)", rows)
total, times = 0.0, []
cases = [line.rstrip("\n").split("\t") for line in open(queries, encoding="utf8")]
for query, names in cases:
    expected = {n.lstrip("@").replace("/", ".") for n in names.split(" ")}
    match = " OR ".join(f'"{word}"' for word in query.split(" "))
    began = time.perf_counter()
    found = [n for (n,) in db.execute("select name from p where p match ? order by bm25(p) limit 10", (match,))]
    times.append(time.perf_counter() - began)
    gain = [1 / math.log2(i + 2) for i in range(10)]
    total += sum(g for g, n in zip(gain, found) if n in expected) / sum(gain[: len(expected)])
times.sort()
print(f"sqlite fts5: nDCG@10 {total / len(cases):.3f}, p50 {times[len(times) // 2] * 1e3:.2f} ms")

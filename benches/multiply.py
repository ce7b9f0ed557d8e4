#!/usr/bin/env python3
"""Makes many crates out of some: python3 benches/multiply.py FOLDER TIMES OUT

Each .crate of FOLDER is packed anew under TIMES names into OUT: so there are as many archives as are wanted, of real sizes and with
real contents. The same input gives the same bytes. What cannot be read is left out, and counted.
"""
import gzip
import io
import multiprocessing
import pathlib
import re
import sys
import tarfile


def multiply(job):
    path, times, out = job
    with tarfile.open(path, "r:gz") as archive:
        files = [(m.name, archive.extractfile(m).read()) for m in archive.getmembers() if m.isfile()]
    top = files[0][0].split("/")[0]
    manifest = dict(files)[f"{top}/Cargo.toml"].decode()
    begin = manifest.index("[package]")
    name = re.search(r'(?m)^name\s*=\s*"([^"]+)"', manifest[begin:])
    version = top[len(name.group(1)) + 1 :]
    for number in range(times):
        # A name has at most 64 characters.
        new = f"{name.group(1)[:50]}-x{number}"
        renamed = manifest[:begin] + manifest[begin:].replace(name.group(0), f'name = "{new}"', 1)
        buffer = io.BytesIO()
        with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=1, mtime=0) as packed:
            with tarfile.open(fileobj=packed, mode="w") as archive:
                for file, data in files:
                    data = renamed.encode() if file == f"{top}/Cargo.toml" else data
                    info = tarfile.TarInfo(f"{new}-{version}{file[len(top):]}")
                    info.size, info.mode, info.mtime = len(data), 0o644, 1153704088
                    archive.addfile(info, io.BytesIO(data))
        (out / f"{new}-{version}.crate").write_bytes(buffer.getvalue())
    return times


def attempt(job):
    try:
        return multiply(job)
    except (KeyError, ValueError, AttributeError, OSError, tarfile.TarError):
        return 0


if __name__ == "__main__":
    folder, times, out = pathlib.Path(sys.argv[1]), int(sys.argv[2]), pathlib.Path(sys.argv[3])
    out.mkdir(parents=True, exist_ok=True)
    jobs = [(path, times, out) for path in sorted(folder.glob("*.crate"))]
    with multiprocessing.Pool() as pool:
        made = pool.map(attempt, jobs, chunksize=8)
    print(f"{sum(made)} crates made of {len(jobs)}; {made.count(0)} left out")

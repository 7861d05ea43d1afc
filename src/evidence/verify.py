#!/usr/bin/env python3
"""Repeats the check of CloudTrail log files that this bundle is the evidence of.

    python3 verify.py [--bundle DIR] [--public-keys FILE] [--logs DIR] [--export NUMBER DIR]

Needs Python 3.8 or newer and nothing else: no package, no network, no trailq. It checks that no file of the
bundle was changed (SHA256SUMS), then the signature of each digest, then that each verdict on a log file is
what the digest says. Exit code: 0 all verdicts are confirmed, 1 something is not, 2 the check could not run.

  --bundle DIR        the unpacked bundle; the directory of this script unless given
  --public-keys FILE  trust these keys and not those in the bundle; what this prints, asked for by yourself:
                      aws cloudtrail list-public-keys --region R --start-time T --end-time T
  --logs DIR          a copy of the bucket: hash the log files in it, each below DIR under its key
  --export N DIR      write string-to-sign.txt, signature.bin and key.pem of digest N, for openssl
"""

import argparse
import base64
import gzip
import hashlib
import io
import json
import os
import re
import sys
import zlib
from collections import Counter
from pathlib import Path

# What precedes the hash in a PKCS#1 v1.5 signature: DigestInfo for SHA-256.
SHA256_INFO = bytes.fromhex("3031300d060960864801650304020105000420")
# SEQUENCE { OBJECT IDENTIFIER rsaEncryption, NULL }, without its own tag and length.
RSA_ENCRYPTION = bytes.fromhex("06092a864886f70d0101010500")
TEXTS = ["digestStartTime", "digestEndTime", "digestS3Bucket", "digestS3Object", "digestPublicKeyFingerprint"]
PIECE = 1 << 20
# No digest is nearly as long; what inflates to more is no digest.
LONGEST_DIGEST = 1 << 30


class Invalid(Exception):
    """Why a digest does not hold."""


class Report:
    """What is said, and whether something was not confirmed."""

    def __init__(self):
        self.problems = 0

    def problem(self, text):
        self.problems += 1
        if self.problems <= 50:
            print("NOT CONFIRMED: " + printable(text))
        elif self.problems == 51:
            print("NOT CONFIRMED: and more")


def printable(text):
    """Keys of objects are whatever somebody chose: nothing of them may steer a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def sha256_of(stream):
    digest = hashlib.sha256()
    for piece in iter(lambda: stream.read(PIECE), b""):
        digest.update(piece)
    return digest.hexdigest()


def sha256_of_file(path):
    with open(path, "rb") as file:
        return sha256_of(file)


# --- the files of the bundle ---------------------------------------------------------------------------


def check_sums(bundle, report):
    """Each file is as SHA256SUMS says, and there is no other."""
    listed = set()
    for line in (bundle / "SHA256SUMS").read_bytes().decode().split("\n")[:-1]:
        match = re.fullmatch(r"([0-9a-f]{64})  ([A-Za-z0-9._-]+(?:/[A-Za-z0-9._-]+)?)", line)
        if not match or ".." in match[2]:
            report.problem("SHA256SUMS has a line that is none: %r" % line)
            continue
        listed.add(match[2])
        path = bundle / match[2]
        if path.is_symlink() or not path.is_file():
            report.problem("%s is in SHA256SUMS and not in the bundle" % match[2])
        elif sha256_of_file(path) != match[1]:
            report.problem("%s was changed since the bundle was made" % match[2])
    there = {path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if not path.is_dir()}
    for name in sorted(there - listed - {"SHA256SUMS"}):
        report.problem("%s is in the bundle and not in SHA256SUMS" % name)
    return len(listed)


# --- keys and signatures -------------------------------------------------------------------------------


def der_value(data, tag):
    """Splits one DER value off the front: its content, and what follows."""
    if len(data) < 2 or data[0] != tag:
        raise ValueError("not the key that is expected")
    length, start = data[1], 2
    if length > 0x80:
        start += length - 0x80
        length = int.from_bytes(data[2:start], "big")
    if len(data) < start + length:
        raise ValueError("the key is cut off")
    return data[start : start + length], data[start + length :]


def pkcs1_of(der):
    """Takes the PKCS#1 key out of a SubjectPublicKeyInfo, if it is in one."""
    try:
        outer, _ = der_value(der, 0x30)
        algorithm, rest = der_value(outer, 0x30)
        if algorithm == RSA_ENCRYPTION:
            return der_value(rest, 0x03)[0][1:]
    except ValueError:
        pass
    return der


def read_keys(path):
    """Public keys by fingerprint, which is the MD5 of the PKCS#1 form and is computed here."""
    keys = {}
    for item in json.loads(path.read_text())["PublicKeyList"]:
        listed = base64.b64decode(item["Value"])
        for der in (listed, pkcs1_of(listed)):
            keys[hashlib.md5(der).hexdigest()] = pkcs1_of(listed)
    return keys


def verify_signature(pkcs1, signature, text):
    """RSASSA-PKCS1-v1_5 with SHA-256, by its definition (RFC 8017, 8.2.2)."""
    numbers, _ = der_value(pkcs1, 0x30)
    modulus, rest = der_value(numbers, 0x02)
    exponent, _ = der_value(rest, 0x02)
    n, e = int.from_bytes(modulus, "big"), int.from_bytes(exponent, "big")
    size = (n.bit_length() + 7) // 8
    if not 2048 <= n.bit_length() <= 8192 or e < 3 or e % 2 == 0:
        raise Invalid("the key is no RSA key of 2048 to 8192 bits")
    expected = SHA256_INFO + hashlib.sha256(text).digest()
    expected = b"\x00\x01" + b"\xff" * (size - len(expected) - 3) + b"\x00" + expected
    number = int.from_bytes(signature, "big")
    if len(signature) != size or number >= n or pow(number, e, n).to_bytes(size, "big") != expected:
        raise Invalid("signature verification failed")


# --- digests -------------------------------------------------------------------------------------------


def inflate(stored):
    """Unpacks gzip: one member, and nothing after it."""
    inflater = zlib.decompressobj(31)
    try:
        content = inflater.decompress(stored, LONGEST_DIGEST)
    except zlib.error as error:
        raise Invalid("invalid format: %s" % error)
    if not inflater.eof or inflater.unused_data:
        raise Invalid("invalid format: cut off, or with something behind it")
    return content


def string_to_sign(digest, content):
    previous = digest["previousDigestSignature"]
    return "{}\n{}/{}\n{}\n{}".format(
        digest["digestEndTime"],
        digest["digestS3Bucket"],
        digest["digestS3Object"],
        hashlib.sha256(content).hexdigest(),
        "null" if previous is None else previous,
    ).encode()


def parse_digest(content):
    try:
        digest = json.loads(content.decode())
    except ValueError as error:
        raise Invalid("invalid format: %s" % error)
    if not isinstance(digest, dict) or not all(isinstance(digest.get(name), str) for name in TEXTS):
        raise Invalid("invalid format: fields of a digest are missing")
    if "previousDigestSignature" not in digest or "logFiles" not in digest:
        raise Invalid("invalid format: fields of a digest are missing")
    digest["logFiles"] = digest["logFiles"] or []
    for name in ("digestStartTime", "digestEndTime"):
        if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", digest[name]):
            raise Invalid("invalid format: %s is no time" % name)
    if any(entry.get("hashAlgorithm") not in (None, "SHA-256") for entry in digest["logFiles"]):
        raise Invalid("invalid format: another hash than SHA-256")
    return digest


def check_digest(stored, bucket, key, metadata, keys):
    """The digest, if it lies where it was written and its signature holds."""
    content = inflate(stored)
    digest = parse_digest(content)
    for name in ("signature", "signature-algorithm"):
        if name not in metadata:
            raise Invalid("signature verification failed: no %s" % name)
    if metadata["signature-algorithm"] != "SHA256withRSA":
        raise Invalid("signature verification failed: unknown algorithm")
    if (digest["digestS3Bucket"], digest["digestS3Object"]) != (bucket, key):
        raise Invalid("has been moved from its original location")
    public_key = keys.get(digest["digestPublicKeyFingerprint"])
    if public_key is None:
        raise Invalid("public key not found for fingerprint %s" % digest["digestPublicKeyFingerprint"])
    try:
        signature = bytes.fromhex(metadata["signature"])
    except ValueError:
        raise Invalid("signature verification failed: not hexadecimal")
    verify_signature(public_key, signature, string_to_sign(digest, content))
    return digest, hashlib.sha256(content).hexdigest()


# --- verdicts ------------------------------------------------------------------------------------------


class Check:
    def __init__(self, bundle, keys, logs, report):
        self.bundle, self.keys, self.logs, self.report = bundle, keys, logs, report
        self.digests, self.log_files, self.at_hand, self.links = Counter(), Counter(), Counter(), Counter()
        self.listed, self.previous = {}, {}
        self.current = None

    def line(self, line):
        if line["type"] == "digest":
            self.digest(line)
        elif line["type"] == "log_file":
            self.log_file(line)
        elif line["type"] == "unlisted":
            self.log_files[line["verdict"]] += 1

    def digest(self, line):
        self.end_of_digest()
        where = "s3://%s/%s" % (line["bucket"], line["key"])
        self.digests[line["verdict"]] += 1
        self.current, self.listed, found, why = where, {}, None, "not in the bundle"
        if line["member"] is not None:
            try:
                stored = (self.bundle / line["member"]).read_bytes()
                found = check_digest(stored, line["bucket"], line["key"], line["metadata"], self.keys)
            except (Invalid, OSError, ValueError) as error:
                why = str(error)
        if (found is not None) != (line["verdict"] == "valid"):
            said = "holds" if found else "does not hold (%s)" % why
            self.report.problem("%s: the bundle says %s; it %s" % (where, line["verdict"], said))
        if found is not None:
            self.valid_digest(where, *found, line)

    def valid_digest(self, where, digest, sha256, line):
        if line["sha256"] not in (None, sha256):
            self.report.problem("%s: another SHA-256 than the bundle says" % where)
        for entry in digest["logFiles"]:
            self.listed[(entry["s3Bucket"], entry["s3Object"])] = entry["hashValue"]
        self.previous[short(where)] = (short(sha256, line["metadata"]["signature"].lower()), link_of(digest))

    def log_file(self, line):
        where = "s3://%s/%s" % (line["bucket"], line["key"])
        self.log_files[line["verdict"]] += 1
        hash_value = self.listed.pop((line["bucket"], line["key"]), None)
        if hash_value is None or hash_value != line["hash_value"]:
            self.report.problem("%s: %s does not list it with this hash" % (where, self.current))
        if (line["verdict"] == "valid" and line["sha256"] != line["hash_value"]) or (
            line["verdict"] == "hash_mismatch" and line["sha256"] in (None, line["hash_value"])
        ):
            self.report.problem("%s: the bundle says %s, and the hashes do not" % (where, line["verdict"]))
        if self.logs is not None:
            self.look_at_log_file(where, line)

    def look_at_log_file(self, where, line):
        path = (self.logs / line["key"]).resolve()
        if self.logs not in path.parents or not path.is_file():
            self.at_hand["not there"] += 1
            return
        try:
            with gzip.open(path, "rb") as file:
                found = sha256_of(file)
        except (OSError, EOFError, zlib.error):
            found = None
        self.at_hand["as the digest says" if found == line["hash_value"] else "other than the digest says"] += 1
        if found != line["sha256"]:
            self.report.problem("%s: the file at hand is not the one that the bundle speaks of" % where)

    def end_of_digest(self):
        """What a valid digest lists and no verdict was given on."""
        self.log_files["without a verdict"] += len(self.listed)

    def check_links(self):
        for _, link in self.previous.values():
            if link is None:
                self.links["start of a chain"] += 1
            elif link[0] not in self.previous:
                self.links["to a digest that is not in the bundle or does not hold"] += 1
            else:
                self.links["hold" if self.previous[link[0]][0] == link[1] else "BROKEN"] += 1


def short(*texts):
    """Stands for texts in the tables, which may be of a million digests."""
    return hashlib.sha256("\n".join(texts).encode()).digest()[:16]


def link_of(digest):
    """Which digest comes before this one, and what it must be."""
    bucket, key = digest.get("previousDigestS3Bucket"), digest.get("previousDigestS3Object")
    if bucket is None or key is None:
        return None
    signature = (digest.get("previousDigestSignature") or "").lower()
    return short("s3://%s/%s" % (bucket, key)), short(digest.get("previousDigestHashValue") or "", signature)


def counted(counter):
    told = ["%d %s" % (count, printable(name.replace("_", " "))) for name, count in sorted(counter.items()) if count]
    return ", ".join(told) or "none"


# --- the command ---------------------------------------------------------------------------------------


def export(bundle, keys, number, directory):
    """Writes what `openssl dgst -sha256 -verify key.pem -signature signature.bin string-to-sign.txt` needs."""
    member = "digests/%08d.json.gz" % number
    with open(bundle / "verdicts.ndjson", encoding="utf-8") as lines:
        line = next((line for line in map(json.loads, lines) if line.get("member") == member), None)
    if line is None:
        sys.exit("there is no %s" % member)
    content = inflate((bundle / member).read_bytes())
    digest = parse_digest(content)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "string-to-sign.txt").write_bytes(string_to_sign(digest, content))
    (directory / "signature.bin").write_bytes(bytes.fromhex(line["metadata"]["signature"]))
    (directory / "key.pem").write_text(pem(keys[digest["digestPublicKeyFingerprint"]]))


def pem(pkcs1):
    def der(tag, content):
        length = len(content).to_bytes(4, "big").lstrip(b"\0") or b"\0"
        head = length if len(content) < 0x80 else bytes([0x80 + len(length)]) + length
        return bytes([tag]) + head + content

    whole = der(0x30, der(0x30, RSA_ENCRYPTION) + der(0x03, b"\0" + pkcs1))
    body = base64.b64encode(whole).decode()
    lines = [body[at : at + 64] for at in range(0, len(body), 64)]
    return "\n".join(["-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----", ""])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=Path(__file__).parent)
    parser.add_argument("--public-keys", type=Path)
    parser.add_argument("--logs", type=Path)
    parser.add_argument("--export", nargs=2, metavar=("NUMBER", "DIR"))
    options = parser.parse_args()
    keys = read_keys(options.public_keys or options.bundle / "public-keys.json")
    if options.export:
        export(options.bundle, keys, int(options.export[0]), Path(options.export[1]))
        return 0
    report = Report()
    members = check_sums(options.bundle, report)
    check = Check(options.bundle, keys, options.logs and options.logs.resolve(), report)
    with io.open(options.bundle / "verdicts.ndjson", encoding="utf-8") as lines:
        for line in lines:
            check.line(json.loads(line))
    check.end_of_digest()
    check.check_links()
    seal = sha256_of_file(options.bundle / "SHA256SUMS")
    print("files of the bundle  %d, seal %s" % (members + 1, seal))
    print("public keys          %s" % ("your own" if options.public_keys else "those of the bundle"))
    print("digests              %s" % counted(check.digests))
    print("links of digests     %s" % counted(check.links))
    print("log files            %s" % counted(check.log_files))
    if options.logs:
        print("log files at hand    %s" % counted(check.at_hand))
    print("verdicts             %s" % ("NOT CONFIRMED" if report.problems else "all confirmed"))
    return 1 if report.problems else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BrokenPipeError:
        os._exit(1)
    except (OSError, ValueError, KeyError, TypeError) as error:
        print("could not check: %s" % printable(error), file=sys.stderr)
        sys.exit(2)

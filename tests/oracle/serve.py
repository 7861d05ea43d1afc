"""Makes trails and serves them on free ports of this machine, until standard input ends.

Prints the ports of S3 and of CloudTrail's API. Each line of standard input is `NAME ARGUMENTS…` of make_trail.py;
once the trail is there, its ARN is printed. They lie in the directory that is the only argument.
"""

import json
import os
import shlex
import sys
import threading
from http.server import ThreadingHTTPServer

import endpoint
import make_trail
import s3dir

root = sys.argv[1]
ThreadingHTTPServer.daemon_threads = True
ThreadingHTTPServer.handle_error = lambda *_: None  # a program that has seen enough hangs up
s3 = s3dir.Server(("127.0.0.1", 0), s3dir.Handler)
s3.root, s3.buckets, s3.delay = root, {}, 0
api = ThreadingHTTPServer(("127.0.0.1", 0), endpoint.Handler)
api.root, api.log = root, False
for server in (s3, api):
    threading.Thread(target=server.serve_forever, daemon=True).start()
print(s3.server_port, api.server_port, flush=True)
for line in sys.stdin:
    name, *arguments = shlex.split(line)
    out = os.path.join(root, name)
    sys.argv = ["make_trail.py", "--out", out, "--bucket", "ct-" + name, *arguments]
    make_trail.main()
    with open(os.path.join(out, "trails.json")) as f:
        print(json.load(f)["trailList"][0]["TrailARN"], flush=True)
os._exit(0)

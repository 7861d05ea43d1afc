"""Serves S3 by moto on a free port, which is printed, until standard input ends.

One request at a time: moto checks the condition of a conditional PUT and writes in two steps, so with
two requests at once it would let both win, which S3 does not.
"""

import os
import sys
import threading

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.server import MotoRequestHandler
from werkzeug.serving import make_server

application = DomainDispatcherApplication(create_backend_app)
lock = threading.Lock()


def one_at_a_time(environ, start_response):
    with lock:
        return application(environ, start_response)


class Quiet(MotoRequestHandler):
    def log(self, *_):
        pass


server = make_server("127.0.0.1", 0, one_at_a_time, threaded=True, request_handler=Quiet)
print(server.port, flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
os._exit(0)

"""A hub on the loopback for trials: hub.py PORT FOLDER [CHAIN KEY] serves FOLDER as toy/model, over TLS with a certificate."""
import hashlib
import http.server
import json
import os
import ssl
import sys

port, root = int(sys.argv[1]), sys.argv[2]
commit = "0123456789abcdef" * 2 + "01234567"
files = {}
for folder, _, names in os.walk(root):
    for name in names:
        path = os.path.join(folder, name)
        files[os.path.relpath(path, root)] = open(path, "rb").read()


def sibling(name, data):
    git = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
    entry = {"rfilename": name, "size": len(data), "blobId": git}
    if name.endswith(".safetensors"):
        entry["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    return entry


info = json.dumps({"sha": commit, "siblings": [sibling(*file) for file in files.items()]}).encode()


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path.startswith("/api/models/toy/model/revision/"):
            return self.answer(200, info)
        prefix = f"/toy/model/resolve/{commit}/"
        data = files.get(self.path.removeprefix(prefix)) if self.path.startswith(prefix) else None
        if data is None:
            return self.answer(404, b"")
        wanted = self.headers.get("Range")
        if not wanted:
            return self.answer(200, data)
        first, last = (int(number) for number in wanted.removeprefix("bytes=").split("-"))
        return self.answer(206, data[first : last + 1])


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512


server = Server(("127.0.0.1", port), Handler)
if len(sys.argv) > 3:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[3], sys.argv[4])
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()

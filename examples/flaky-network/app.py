"""The app: one page, which says who asked."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class App(BaseHTTPRequestHandler):
    """Answers every GET."""

    def do_GET(self) -> None:
        """Send the page."""
        page = f"Hello, {self.client_address[0]}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_: object) -> None:
        """Keep the terminal for what matters."""


class Server(ThreadingHTTPServer):
    """Holds more callers than wrk is, at a time; with the five that it holds by default some would wait for a second."""

    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        """Say nothing: an answer that finds no one belongs to a flaky network."""


Server(("", 8000), App).serve_forever()

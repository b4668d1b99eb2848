"""The shop: one page, which says who asked, as the app sees it."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Shop(BaseHTTPRequestHandler):
    """Answers every GET."""

    def do_GET(self) -> None:
        """Send the page."""
        page = f"Welcome to the shop: {self.client_address[0]} asked for {self.path}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_: object) -> None:
        """Keep the terminal for what matters."""


ThreadingHTTPServer(("", 8000), Shop).serve_forever()

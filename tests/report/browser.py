"""A headless Chromium, spoken to by its DevTools protocol over two pipes, so that no driver package is needed."""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "headless_shell")
# A loaded machine draws by software at less than a frame a second.
SECONDS = 300
# WebGL by software: machines that test have no graphics card.
FLAGS = (
    "--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader", "--hide-scrollbars", "--disable-gpu-rasterization", "--disable-extensions",
    "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-default-apps", "--mute-audio",
)  # fmt: skip


def find_chromium():
    """Path of an installed Chromium, None of none; ``CHROMIUM`` in the environment goes first."""
    found = (shutil.which(name) for name in (os.environ.get("CHROMIUM", ""), *NAMES) if name)
    return next((path for path in found if path), None)


class Browser:
    """One page in a headless browser: ``with Browser(path) as page: page.open(file)``."""

    def __init__(self, chromium):
        self.folder = tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True)
        # Above 4, so that moving them to 3 and 4, which the browser reads and writes, overwrites none.
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for pair in (os.pipe(), os.pipe()) for end in pair]
        theirs_in, self.out, self.inp, theirs_out = ends

        def move():
            os.dup2(theirs_in, 3)
            os.dup2(theirs_out, 4)

        command = [chromium, *FLAGS, f"--user-data-dir={self.folder.name}", "about:blank"]
        self.process = subprocess.Popen(
            command, preexec_fn=move, pass_fds=(3, 4), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self.number, self.rest, self.events, self.session = 0, b"", [], None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        os.close(self.out)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.inp)
        self.folder.cleanup()

    def call(self, method, **parameters):
        """What the browser answers to one command."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.read()
            if answer.get("id") == self.number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]

    def read(self, seconds=SECONDS):
        """The next message; events are kept."""
        end = time.monotonic() + seconds
        while b"\0" not in self.rest:
            left = end - time.monotonic()
            assert left > 0 and select.select([self.inp], [], [], left)[0], "the browser does not answer"
            part = os.read(self.inp, 1 << 20)
            assert part, "the browser has ended"
            self.rest += part
        text, _, self.rest = self.rest.partition(b"\0")
        message = json.loads(text)
        if "method" in message:
            self.events.append(message)
        return message

    def size(self, width, height, dark=False, media=""):
        """Take the size of a screen, and what the reader prefers."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", media=media, features=[scheme])

    def open(self, path, width=640, height=480, dark=False):
        """Load a file on a screen of this size (small, since every pixel is drawn by software), and wait for it."""
        # An empty page first: the last one would be drawn anew in the new size.
        self._navigate("about:blank")
        self.size(width, height, dark)
        self._navigate(Path(path).resolve().as_uri())

    def _navigate(self, url):
        self.events.clear()
        self.call("Page.navigate", url=url)
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.read()

    def run(self, script):
        """Value of an expression in the page."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, script, seconds=SECONDS):
        """Wait until an expression is true."""
        end = time.monotonic() + seconds
        while not self.run(script):
            assert time.monotonic() < end, f"not within {seconds} s: {script}"
            time.sleep(0.1)

    def screenshot(self, path=None, whole=False):
        """PNG of what is seen, or of the whole page."""
        data = base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=whole)["data"])
        if path:
            Path(path).write_bytes(data)
        return data

    def drag(self, start, end, steps=2):
        """Press at one point, move to the other and let go."""
        (x, y), (u, v) = start, end
        mouse = {"button": "left", "clickCount": 1}
        self.call("Input.dispatchMouseEvent", type="mousePressed", x=x, y=y, **mouse)
        for k in range(1, steps + 1):
            place = {"x": x + (u - x) * k / steps, "y": y + (v - y) * k / steps}
            self.call("Input.dispatchMouseEvent", type="mouseMoved", buttons=1, **place)
        self.call("Input.dispatchMouseEvent", type="mouseReleased", x=u, y=v, **mouse)

    @property
    def complaints(self):
        """Errors and warnings of the page, and what it asked of a network."""
        found = []
        for event in self.events:
            method, told = event["method"], event["params"]
            if method == "Runtime.exceptionThrown":
                found.append(str(told["exceptionDetails"]))
            elif method == "Runtime.consoleAPICalled" and told["type"] in ("error", "assert"):
                found.append(str(told["args"]))
            elif method == "Log.entryAdded" and told["entry"]["level"] == "error":
                found.append(told["entry"]["text"])
            elif method == "Network.requestWillBeSent" and not told["request"]["url"].startswith(
                ("file:", "data:", "blob:")
            ):
                found.append(f"asked for {told['request']['url']}")
        return found

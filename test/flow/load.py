"""Requests over short-lived connections, all the while, and what came of them."""
import http.client
import threading
import time


class Load:
    """`with Load(port, {host: is_good}) as load:`; is_good(body) says whether a 200 is the page. Afterwards load.failures and
    load.count."""

    def __init__(self, port, hosts, every=0.01, timeout=10):
        self.port, self.hosts, self.every, self.timeout = port, hosts, every, timeout
        self.failures, self.count = [], 0
        self.over = threading.Event()
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.run, args=item, daemon=True) for item in hosts.items()]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *error):
        self.over.set()
        for thread in self.threads:
            thread.join(self.timeout + 5)

    def run(self, host, is_good):
        while not self.over.wait(self.every):
            begun = time.time()
            wrong = self.ask(host, is_good)
            with self.lock:
                self.count += 1
                if wrong:
                    self.failures.append(f"{time.strftime('%H:%M:%S', time.gmtime(begun))}.{int(begun % 1 * 1000):03} {host}: {wrong}")

    def ask(self, host, is_good):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.timeout)
        try:
            connection.request("GET", "/", headers={"Host": host, "Connection": "close"})
            answer = connection.getresponse()
            body = answer.read().decode("utf-8", "replace")
            if answer.status != 200:
                return f"{answer.status} {body[:100]!r}"
            return None if is_good(body) else f"not the page: {body[:100]!r}"
        except (OSError, http.client.HTTPException) as e:
            return repr(e)
        finally:
            connection.close()

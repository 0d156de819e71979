"""SQLite for several writers at once.

Django 3.2 begins a transaction as a reader. Two that read and then write would
not wait for each other: SQLite fails one of them at once, whatever the timeout.
Begun as writers they queue, which also makes select_for_update() true here.
The write-ahead log lets readers go on meanwhile. A commit does not wait for the
disk: a power cut may cost this demo its last seconds, but never its database.
"""

from django.db.backends.sqlite3 import base


class DatabaseWrapper(base.DatabaseWrapper):
    def get_new_connection(self, conn_params):
        connection = super().get_new_connection(conn_params)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection

    def _start_transaction_under_autocommit(self):
        self.cursor().execute("BEGIN IMMEDIATE")

"""SSH of the launcher's own: the logs of all hosts at once, and a tunnel to the endpoint."""

import logging

# paramiko tells its failures through exceptions, too; without a handler it would print them beside our own words.
logging.getLogger("paramiko").addHandler(logging.NullHandler())

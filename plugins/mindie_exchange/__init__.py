# SPDX-License-Identifier: Apache-2.0
"""The agent of the weights exchange: one on every host, packed into one file, Python 3.7 and its standard library.

Members hold pieces of files. Who has a file from the beginning (a seeder) gives each of its pieces to one member only;
everything else the members ask of one another. So each byte leaves its source once, however many hosts there are.
"""

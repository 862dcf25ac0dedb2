"""The simulated hardware of a host: npu-smi, hccn_tool, lspci, device nodes and driver files, from one YAML file.

Everything here runs on a simulated host (Debian 12, Python 3.11, python3-yaml) or in a test. The product never
imports it. Texts, streams and exit statuses follow the tools' public source, hicann/driver at ef377e9; a module that
refuses or behaves oddly names the file and function there.
Short forms, all below src/custom: N dev_prod/user/npucli/src, D dev_prod/user/dcmi, H network/hccn/ascend910B.
"""

"""Faults of memory, weights and the model's Python code."""

from __future__ import annotations

from mindie_deploy.mindie.fault import CONSEQUENCE, SYMPTOM, Fault

FAQ = "MindIE FAQ"
SYNC = "run sync: it proves every file against the manifest"

MODEL_FAULTS: tuple[Fault, ...] = (
    Fault(
        "npu-out-of-memory",
        r"NPU out of memory|torch_npu.{0,40}OutOfMemoryError|Tried to allocate [0-9.]+ [GM]iB",
        "the NPU's memory is too small for weights, KV cache and warm-up",
        "raise mindie_npu_memory_fraction to 0.96; lower mindie_max_prefill_tokens, mindie_max_seq_len or "
        "mindie_max_batch_size; NPUs must be idle before the start",
        "README of DeepSeek-R1, MindIE FAQ",
    ),
    Fault(
        "no-room-for-kv-cache",
        r"(?i)warm-?up failed|num_npu_blocks.{0,80}(negative|smaller|must|should)",
        "after loading and warm-up no memory is left for the KV cache",
        "raise mindie_npu_memory_fraction; lower mindie_max_prefill_tokens and mindie_max_seq_len",
        "MindIE-LLM, generator warm-up",
    ),
    Fault(
        "memory-fraction",
        r"(?i)NPU_MEMORY_FRACTION.{0,80}(invalid|must|should|range)",
        "the memory fraction is not accepted",
        "set mindie_npu_memory_fraction above 0 and at most 1",
        "MindIE-LLM, env.py",
    ),
    Fault(
        "host-out-of-memory",
        r"(?i)out of memory: killed process|oom-kill|cannot allocate memory|std::bad_alloc|\bMemoryError\b",
        "the host's memory ran out",
        "about 445 GB must be free on each host: free -g; stop other programs",
        FAQ,
    ),
    Fault(
        "fp8-weights",
        r"(?i)weight_scale_inv|float8_e4m3|F8_E4M3|\bfp8\b.{0,60}(not support|unsupport|invalid|cannot)",
        "the weights are FP8, which these NPUs do not have",
        "set mindie_model_path to the BF16 copy (about 1.37 TB)",
        "GPUStack's tutorial",
    ),
    Fault(
        "quantization",
        r"(?i)\bquant(ize|ization|_model_description\w*)?\b.{0,80}(not support|unsupport|invalid|not found|error|fail)|"
        r"unsupported quantization_config",
        "the weights' quantization is not what their config.json says",
        "BF16 weights must not carry quantization_config or quantize in config.json; take the right copy",
        "forum 02112175219134511070",
        SYMPTOM,
    ),
    Fault(
        "expert-stack",
        r"torch\.stack.{0,120}|stack expects (a non-empty|each tensor)",
        "experts cannot be put together: a quantized layout was expected, or a shard is missing",
        "BF16 weights must not carry quantization_config; " + SYNC,
        "forum 02112175219134511070",
        SYMPTOM,
    ),
    Fault(
        "weights-path",
        r"(?i)check path:.{0,300}failed, by:.{0,60}(not exist|not allowed|no such)|model config\.json file is invalid",
        "the weights directory is not where mindie_model_path says, or MindIE does not take its name",
        "run sync; the path may only hold letters, digits and _ . / -",
        "MindIE-LLM, SafePath::Check",
    ),
    Fault(
        "model-type",
        r"(?i)unsupported model type|model_type.{0,60}(not support|unsupport|unknown)",
        "this MindIE does not know the weights' model_type",
        "up to 2.0.T3 it must be deepseekv2 in config.json of the weights; change it at the source, and sync; or take "
        "a newer image",
        "README of DeepSeek-R1 and V3; GPUStack issue 1765",
    ),
    Fault(
        "damaged-weights",
        r"SafetensorError|HeaderTooLarge|HeaderTooSmall|MetadataIncompleteBuffer|"
        r"InvalidHeader|InvalidOffset|No \.safetensors weights|"
        r"(?i:(no such file|not found|does not exist).{0,120}\.safetensors|\.safetensors.{0,120}(no such file|"
        r"not found|does not exist|corrupt|truncat))",
        "a shard of the weights is missing or damaged",
        SYNC,
        FAQ,
    ),
    Fault(
        "missing-tensor",
        r"KeyError: '(model\.|lm_head)|(?i:weight .{0,120} does not exist)",
        "a tensor is not in the weights: a shard is missing, or the copy is of another model",
        SYNC + "; model.safetensors.index.json must be the copy's own",
        FAQ,
    ),
    Fault(
        "tokenizer",
        r"(?i)failed to get vocab size|(tokenizer\.json|tokenizer_config\.json|tokenizer).{0,120}(no such file|"
        r"not found|can't load|cannot be loaded|failed to load|fail)",
        "the tokenizer cannot be loaded: files missing or damaged, or their mode keeps MindIE out",
        "tokenizer.json and tokenizer_config.json must be in the weights directory (a conversion leaves them out); "
        + SYNC,
        "MindIE FAQ; README of DeepSeek-V3",
    ),
    Fault(
        "tokenizer-bug",
        r"IbisTokenizer.{0,10}has no attribute .{0,4}cache_path",
        "a bug of old images",
        "take a newer MindIE image, or the patch that the README of DeepSeek-R1 names",
        "README of DeepSeek-R1",
    ),
    Fault(
        "downloads",
        r"Max retries exceeded with url",
        "the model's code tries to download something",
        "all files must be local, and mindie_trust_remote_code false",
        FAQ,
    ),
    Fault(
        "locale",
        r"'ascii' codec can't encode",
        "the container's locale is not UTF-8 (harmless for serving)",
        "leave LANG and PYTHONIOENCODING as they are rendered",
        FAQ,
        CONSEQUENCE,
    ),
    Fault(
        "python-packages",
        r"ModuleNotFoundError|No module named|ImportError:",
        "a Python package is missing in the image or does not fit",
        "take an unmodified MindIE image",
        FAQ,
    ),
    Fault(
        "model-initialisation",
        r"LLMPythonModel initializes? fail|pybind11::error_already_set",
        "the model's Python code failed; the error before it says why",
        "read the first Python error before this line",
        FAQ,
        CONSEQUENCE,
    ),
    Fault(
        "hccl-buffer",
        r"(?i)HCCL_BUFFSIZE.{0,80}(must|invalid|not set|integer|required)",
        "HCCL_BUFFSIZE is missing or no whole number",
        'set it in mindie_environment, for example "512"',
        "MindIE-LLM, parallel_info_manager.py",
    ),
    Fault(
        "python-error",
        r"^\s*[A-Za-z_.]*(Error|Exception): \S",
        "a Python program failed",
        "read the lines before it",
        "Python",
        CONSEQUENCE,
    ),
)

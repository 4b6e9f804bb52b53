"""What the scripts that ask TRL share: a tokenizer of bytes with moonlit's chat template, the options
of a small llama, its weights by name."""
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, PreTrainedTokenizerFast

CONFIG = LlamaConfig(
    vocab_size=261, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
    num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256,
    rms_norm_eps=1e-5, tie_word_embeddings=True, initializer_range=0.1,
    bos_token_id=None, eos_token_id=258, pad_token_id=256, attention_dropout=0.0)

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>"]

# one statement a line; trim_blocks and lstrip_blocks are on
TEMPLATE = """{% for m in messages %}
{{ '<|im_start|>' + m.role + '\\n' -}}
{% if m.role == 'assistant' %}
{% generation %}
{{ m.content or '' -}}
{% for c in m.tool_calls or [] %}
{{ '' if loop.first and not m.content else '\\n' -}}
{{ '<tool_call>\\n{"name": ' + c.function.name | tojson + ', "arguments": ' -}}
{{ c.function.arguments | tojson + '}\\n</tool_call>' -}}
{% endfor %}
{{ '<|im_end|>' -}}
{% endgeneration %}
{% else %}
{{ m.content + '<|im_end|>' -}}
{% endif %}
{{ '\\n' if last or add_generation_prompt or not loop.last -}}
{% endfor %}
{% if add_generation_prompt %}
{{ '<|im_start|>assistant\\n' -}}
{% endif %}"""


def byte_alphabet():
    """Bytes as the characters that byte-level tokenizers write them with."""
    shown = [b for b in range(256) if 33 <= b <= 126 or 161 <= b <= 172 or 174 <= b <= 255]
    hidden = [b for b in range(256) if b not in shown]
    return {**{b: chr(b) for b in shown}, **{b: chr(256 + i) for i, b in enumerate(hidden)}}


def tokenizer(last=True):
    """A byte is its own id; the special tokens follow. last: a line break after the last turn too."""
    t = Tokenizer(models.BPE(vocab={c: b for b, c in byte_alphabet().items()}, merges=[]))
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    t.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in SPECIAL])
    fast = PreTrainedTokenizerFast(tokenizer_object=t, eos_token="<|im_end|>",
                                   pad_token="<|endoftext|>", model_max_length=256)
    fast.chat_template = "{% set last = " + str(last).lower() + " %}\n" + TEMPLATE
    assert fast.convert_tokens_to_ids(SPECIAL) == [256, 257, 258, 259, 260]
    return fast


def weights(model, prefix):
    return {prefix + n: p.detach().clone().contiguous() for n, p in model.named_parameters()}

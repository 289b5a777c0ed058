"""Starts llama.cpp's own server with a tiny random model, prints its address, and lives until standard input ends.

Needs the packages `xllamacpp` (the server) and `gguf` (to write the model). What the model says is noise; how the server
says it is not.
"""

import os
import sys
import tempfile

import gguf
import numpy
import xllamacpp

WIDTH, HIDDEN, HEADS, CONTEXT = 32, 64, 2, 512
CHAT = (
    "{%- for tool in tools or [] %}{{ tool | tojson }}\n{%- endfor %}"
    "{%- for message in messages %}{{ message.role }}: {{ message.content }}\n{%- endfor %}assistant: "
)


def write_model(path):
    random = numpy.random.default_rng(7)
    kinds = gguf.TokenType
    special = [("<unk>", kinds.UNKNOWN), ("<s>", kinds.CONTROL), ("</s>", kinds.CONTROL)]
    byte_tokens = [(f"<0x{byte:02X}>", kinds.BYTE) for byte in range(256)]
    pieces = [(chr(code), kinds.NORMAL) for code in range(33, 127)] + [("\u2581", kinds.NORMAL)]
    tokens = special + byte_tokens + pieces
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_tokenizer_model("llama")
    writer.add_token_list([text for text, _ in tokens])
    writer.add_token_scores([-float(rank) for rank in range(len(tokens))])
    writer.add_token_types([kind for _, kind in tokens])
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template(CHAT)

    def tensor(name, *shape):
        writer.add_tensor(name, random.normal(0, 0.3, shape).astype(numpy.float32))

    tensor("token_embd.weight", len(tokens), WIDTH)
    tensor("output.weight", len(tokens), WIDTH)
    tensor("output_norm.weight", WIDTH)
    for name in ("attn_norm", "ffn_norm"):
        tensor(f"blk.0.{name}.weight", WIDTH)
    for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
        tensor(f"blk.0.{name}.weight", WIDTH, WIDTH)
    for name in ("ffn_gate", "ffn_up"):
        tensor(f"blk.0.{name}.weight", HIDDEN, WIDTH)
    tensor("blk.0.ffn_down.weight", WIDTH, HIDDEN)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "tiny.gguf")
        write_model(path)
        params = xllamacpp.CommonParams()
        params.model.path = path
        params.n_ctx = CONTEXT
        params.n_parallel = 1
        params.port = 0
        params.use_jinja = True
        params.warmup = False
        params.ctx_shift = False
        server = xllamacpp.Server(params)
        print(server.listening_address, flush=True)
        sys.stdin.read()


main()

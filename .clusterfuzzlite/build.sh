#!/bin/bash -eu
# Builds each fuzz target, with its seeds and dictionary beside it. Untried: it needs the image of the Dockerfile.
cd "$SRC/unifiedai"
cargo fuzz build -O
for source in fuzz/fuzz_targets/*.rs; do
  target=$(basename "$source" .rs)
  cp "fuzz/target/x86_64-unknown-linux-gnu/release/$target" "$OUT/"
  if [ -d "fuzz/seeds/$target" ]; then
    zip -jqr "$OUT/${target}_seed_corpus.zip" "fuzz/seeds/$target"
  fi
done
cp fuzz/dictionaries/responses.dict "$OUT/"

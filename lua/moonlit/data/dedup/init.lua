--- Documents that are there more than once: exact copies, near copies, pieces.
return {
  exact = require "moonlit.data.dedup.exact",
  minhash = require "moonlit.data.dedup.minhash",
  spans = require "moonlit.data.dedup.spans",
}

--- What this is, as run.json and `moonlit --version` say it.
return { moonlit = "0.1.0-dev", numerics = "det-1" }

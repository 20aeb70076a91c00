-- limits.lua
core.register_action("limits", { "http-req" }, function(txn)
  local asked = core.httpclient():get{
    url = "http://127.0.0.1:8090/check/api" .. txn.f:pathq(),
    timeout = 500,
    headers = {
      ["X-Api-Key"] = { txn.f:req_hdr("X-Api-Key") or "" },
      ["X-Forwarded-For"] = { txn.f:src() },
    },
  }
  txn:set_var("txn.limits", asked and asked.status or 0)
  for name, lines in pairs(asked and asked.headers or {}) do
    txn:set_var("txn." .. name:gsub("-", "_"), lines[0])
  end
end)

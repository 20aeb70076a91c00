-- When the window ends that an admission opened, and how many it admitted.
algorithms["first-hit-window"] = function(key, limit, window)
  local ends, count = load(key, ">I8I8")

  local function judge(now)
    local used = now < ends and count or 0
    return limit - used, used + cost > limit and ends or 0, used > 0 and ends or 0
  end

  local function take(now)
    if now >= ends then ends, count = now + window, 0 end
    save(key, ends, ">I8I8", ends, count + cost)
    return ends
  end

  return math.max(0, ends - window), judge, take
end

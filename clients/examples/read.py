from omni2cache import Cache
cache = Cache()
print(cache.get("time", "get_current_time", {}))

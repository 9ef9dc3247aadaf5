"""The processor at hand. What was measured on one kind says little of another, so results are named by it."""
import platform

# What people call a kind of processor, by vendor, family and model.
GENERATIONS = {("GenuineIntel", "6", "143"): "spr", ("GenuineIntel", "6", "207"): "emr", ("GenuineIntel", "6", "173"): "gnr",
               ("AuthenticAMD", "25", "17"): "zen4", ("AuthenticAMD", "26", "2"): "zen5"}


def processor():
    """Its name, and how a file of its results is called."""
    about = {}
    with open("/proc/cpuinfo") as lines:
        for line in lines:
            key, _, value = line.partition(":")
            about.setdefault(key.strip(), value.strip())
    numbers = about.get("vendor_id", platform.machine()), about.get("cpu family", "0"), about.get("model", "0")
    name = about.get("model name", platform.processor())
    return f"{name} (family {numbers[1]}, model {numbers[2]})", GENERATIONS.get(numbers, "-".join(numbers).lower())

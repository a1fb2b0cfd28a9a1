# %% [markdown] tags=["en"]
# # 3 Attention
# %% [markdown] tags=["zh"]
# # 3 注意力
# %%
import sys

sys.path.insert(0, "../..")  # the project's folder, from where the notebook lies
from minillm.lesson_tools import say

print(say("hello", "你好"))

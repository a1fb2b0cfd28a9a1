# %% [markdown] tags=["en"]
# # 0 From Python to a gradient
#
# A language model has parameters: numbers that training sets. Training asks again and again which way each number
# should move so that the model makes smaller errors. The answer is called the **gradient**, and this lesson is all the
# mathematics you need for it. You should know loops, lists and functions in Python; nothing else is assumed.
#
# After this lesson you can
# - read shapes such as (3, 2), and say what a **tensor** is and what `@` does;
# - say what a **derivative** is, and check one with two values of the function;
# - write the **backward** pass of one neuron by hand, and compare it with PyTorch's `backward()`;
# - fit a line to points by **gradient descent**.
#
# This course follows [lectures by Hung-yi Lee][lecture]. “The lecture” means the one on how a large language model is
# trained. Run each cell with Shift+Enter, from the top.
#
# [lecture]: https://speech.ee.ntu.edu.tw/~hylee/genai/2024-spring.php
# %% [markdown] tags=["zh"]
# # 0 从 Python 到梯度
#
# 语言模型有参数，也就是由训练来确定的数。训练就是反复地问：每个数该往哪个方向动，模型才会错得少一点？答案叫做
# **梯度（gradient）**。这一课讲完它所需的全部数学。你只需要懂 Python 的循环、列表和函数。
#
# 学完这一课，你能够
# - 读懂 (3, 2) 这样的形状，说出**张量**（tensor）是什么、`@` 做什么；
# - 说出**导数**（derivative）是什么，并用函数的两个值验证它；
# - 手写一个神经元的**反向传播**（backward），并和 PyTorch 的 `backward()` 比较；
# - 用**梯度下降**（gradient descent）给一些点拟合一条直线。
#
# 本课程跟随的是[李宏毅老师的课][lecture]；“课上”指其中讲大语言模型怎样训练的那一讲（大型语言模型修炼史）。请从上到下用
# Shift+Enter 逐格运行。
#
# [lecture]: https://speech.ee.ntu.edu.tw/~hylee/genai/2024-spring.php
# %%
import torch

from minillm.classroom.lesson_tools import label, say, show_figure, show_table
from minillm.plumbing import plots

# %% [markdown] tags=["en"]
# ## Lists and tensors
#
# A **tensor** is a table of numbers of one type, with any number of axes. Its **shape** says how long each axis is:
# (3, 2) is three rows of two. Arithmetic works number by number, without a loop. An axis of length 1 is repeated
# where the other tensor is longer (**broadcasting**). `a @ b` is the matrix product: row times column, added up.
# `.item()` makes a Python number of a tensor that holds one, `.tolist()` makes lists.
#
# **Before you run it:** x has shape (3, 2). What are the shapes of `x + 1`, `x.sum(-1)`, `x.sum(-1, keepdim=True)` and
# `x @ x.T`? (-1 is the last axis; `.T` swaps the two axes.)
# %% [markdown] tags=["zh"]
# ## 列表和张量
#
# **张量**是一张同一类型的数的表，可以有任意多个轴。**形状**说明每个轴有多长：(3, 2) 是三行、每行两个。运算逐个元素进行，
# 不用写循环。长度为 1 的轴会按另一个张量的长度重复，叫**广播（broadcasting）**。`a @ b` 是矩阵乘法：行乘列，再相加。
# `.item()` 把只含一个数的张量变成 Python 的数，`.tolist()` 把张量变成列表。
#
# **运行之前先猜：** x 的形状是 (3, 2)。`x + 1`、`x.sum(-1)`、`x.sum(-1, keepdim=True)`、`x @ x.T` 的形状各是什么？
# （-1 是最后一个轴；`.T` 交换两个轴。）
# %%
x = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])  # (3, 2)
for name, value in {
    "x + 1": x + 1,
    "x.sum(-1)": x.sum(-1),
    "x.sum(-1, keepdim=True)": x.sum(-1, keepdim=True),
    "x @ x.T": x @ x.T,
}.items():
    print(f"{name:24} {tuple(value.shape)!s:8} {value.tolist()}")


# %% [markdown] tags=["en"]
# (3, 2), (3,), (3, 1) and (3, 3). A sum takes its axis away; `keepdim=True` leaves it with length 1. In the matrix
# product the inner axes must be equal, (3, 2) @ (2, 3), and the outer ones are left.
#
# ## What is a derivative?
#
# The **derivative** of f at x says how fast f changes with x: change x by a very small h, and divide the change of f by h,
# f'(x) ≈ (f(x + h) - f(x)) / h. It is the slope of the curve at this point.
#
# **Before you run it:** f(x) = x². What is the slope at x = 3? Which comes closer to it, h = 1 or h = 0.001?
# %% [markdown] tags=["zh"]
# (3, 2)、(3,)、(3, 1) 和 (3, 3)。求和会去掉一个轴；`keepdim=True` 把它留下，长度为 1。矩阵乘法里，内侧的两个轴必须一样长，
# (3, 2) @ (2, 3)，剩下的是外侧的轴。
#
# ## 什么是导数？
#
# f 在 x 处的**导数**说的是：x 变化很小一点时，f 的变化是 x 的变化的多少倍。f'(x) ≈ (f(x + h) - f(x)) / h，h 很小。它就是
# 曲线在这一点的斜率。
#
# **运行之前先猜：** f(x) = x²。在 x = 3 处斜率是多少？h = 1 和 h = 0.001，哪个更接近？
# %%
def f(x):
    return x**2


for h in (1, 0.1, 0.01, 0.001):
    print(f"h = {h:<6} ({f(3 + h):.6f} - {f(3)}) / h = {(f(3 + h) - f(3)) / h:.3f}")
# %% [markdown] tags=["en"]
# It approaches 6: the derivative of x² is 2x.
#
# <!-- go on -->
#
# We write dy/dx for the derivative of y with respect to x. Three rules are enough for this course:
#
# - the derivative of u² is 2u;
# - a factor stays: the derivative of c·u with respect to u is c;
# - the **chain rule**: if z depends on w, and the loss on z, then dloss/dw = dloss/dz · dz/dw. Rates multiply, like gears.
#
# ## One neuron
#
# A **neuron** multiplies each input by a **weight**, adds the products and a **bias** b, and bends the sum. With w · x for the
# sum of all w[i] x[i] (the **dot product**):
#
# z = w · x + b, y = tanh(z), loss = (y - target)².
#
# tanh is a curve from -1 to 1; its derivative is 1 - tanh(z)². Computing the loss is the **forward** pass. The
# **backward** pass goes the same way back and multiplies the derivatives:
#
# dloss/dy = 2 (y - target), dy/dz = 1 - y², dz/dw[i] = x[i], dz/db = 1.
#
# The derivatives of the loss with respect to all parameters together are the **gradient**. PyTorch records what the forward
# pass does with tensors made with `requires_grad=True`; `loss.backward()` walks back through the record and leaves each
# parameter's derivative in its `.grad`. This is **autograd**.
#
# **Before you run it:** the first input is 1, the second is 0. What is the derivative of the loss with respect to the
# second weight?
# %% [markdown] tags=["zh"]
# 它趋近 6：x² 的导数是 2x。
#
# <!-- go on -->
#
# 我们把 y 对 x 的导数写成 dy/dx。本课程只要三条规则：
#
# - u² 的导数是 2u；
# - 系数保留：c·u 对 u 的导数是 c；
# - **链式法则（chain rule）**：z 依赖 w，损失依赖 z，那么 dloss/dw = dloss/dz · dz/dw。变化率像齿轮一样相乘。
#
# ## 一个神经元
#
# **神经元**（neuron）把每个输入乘上一个**权重**（weight），加起来，再加上**偏置（bias）** b，然后做一次非线性变换。w · x 表示
# 所有 w[i] x[i] 之和，叫**点积（dot product）**：
#
# z = w · x + b，y = tanh(z)，损失 = (y - target)²。
#
# tanh 是从 -1 到 1 的曲线，导数是 1 - tanh(z)²。算出损失的过程叫**前向（forward）**。**反向**（backward）沿原路返回，把导数
# 依次相乘：
#
# dloss/dy = 2 (y - target)，dy/dz = 1 - y²，dz/dw[i] = x[i]，dz/db = 1。
#
# 损失对所有参数的导数合在一起就是**梯度**。用 `requires_grad=True` 做出的张量，PyTorch 会记下前向对它做过的事；
# `loss.backward()` 沿着记录走回去，把每个参数的导数放进它的 `.grad`。这叫**自动求导（autograd）**。
#
# **运行之前先猜：** 第一个输入是 1，第二个是 0。损失对第二个权重的导数是多少？
# %%
x = torch.tensor([1.0, 0.0])  # (2,), the inputs
w = torch.tensor([0.5, -0.3], requires_grad=True)
b = torch.tensor(0.2, requires_grad=True)
target = 1.0

y = torch.tanh((w * x).sum() + b)
loss = (y - target) ** 2
loss.backward()

dz = 2 * (y.item() - target) * (1 - y.item() ** 2)  # dloss/dz: the chain rule, by hand
show_table(
    [say("derivative with respect to", "对谁求导"), say("by hand", "手算"), "autograd"],
    [
        ["w[0]", dz * x[0].item(), w.grad[0].item()],
        ["w[1]", dz * x[1].item(), w.grad[1].item()],
        ["b", dz, b.grad.item()],
    ],
)
# %% [markdown] tags=["en"]
# 0: where the input is 0, its weight has no effect on this example. Both columns agree. The other two are negative: a
# larger w[0] or b brings y nearer to the target, so the loss falls.
#
# ## A line and its loss
#
# Now a whole task. Points lie near a line; we look for the line a·x + b. The **loss** says how bad a guess is: the mean
# of the squared errors (a·x + b - y)². It depends on a and b; the points stay as they are.
#
# **Before you run it:** the points were made with a = 2, b = -1 and a little noise. Is the loss 0 there?
# %% [markdown] tags=["zh"]
# 是 0：输入为 0 时，它的权重对这个例子不起作用。两列完全一致。另外两个是负的：w[0] 或 b 变大，y 就更接近目标，损失下降。
#
# ## 一条直线和它的损失
#
# 现在做一件完整的事。一些点靠近一条直线，我们要找出 a·x + b。**损失**（loss）说明一个猜测有多差：误差平方
# (a·x + b - y)² 的平均值。它随 a 和 b 变化，点是不变的。
#
# **运行之前先猜：** 这些点是用 a = 2、b = -1 加一点噪声做出来的。在那里损失是 0 吗？
# %%
generator = torch.Generator().manual_seed(0)  # the same random numbers every time
xs = torch.linspace(-1, 1, 20)  # (20,), from -1 to 1 in equal steps
ys = 2 * xs - 1 + 0.2 * torch.randn(20, generator=generator)


def line_loss_at(a, b):
    return ((a * xs + b - ys) ** 2).mean().item()


for a, b in ((0, 0), (2, 0), (2, -1), (2.1, -1)):
    print(f"a = {a:<4} b = {b:<3}", say("loss", "损失"), f"{line_loss_at(a, b):.3f}")
# %% [markdown] tags=["en"]
# No: 0.048, about the square of the noise, 0.2² = 0.04. No line goes through all points, and a = 2.1 fits these twenty even
# better than the line they were made with. With two parameters one could try values by hand; our model has hundreds of
# thousands.
#
# ## Gradient descent
#
# The gradient points to where the loss *grows* fastest. So each step goes the other way:
#
# a ← a - lr · dloss/da, b ← b - lr · dloss/db.
#
# lr is the **learning rate**. By the rules above, dloss/da is the mean of 2 (a·x + b - y) · x, and dloss/db the mean of
# 2 (a·x + b - y).
#
# **Before you run it:** we try lr = 0.03, 0.3 and 1.2 for 30 steps each. Which of them gets there? What does the largest do?
# %% [markdown] tags=["zh"]
# 不是：0.048，接近噪声的平方 0.2² = 0.04。没有一条直线能穿过所有点；对这二十个点，a = 2.1 甚至比当初用的直线更合适。只有两个
# 参数时，用手试也行；我们的模型有几十万个参数，就不行了。
#
# ## 梯度下降
#
# 梯度指向损失*增长*最快的方向，所以每一步往相反的方向走：
#
# a ← a - lr · dloss/da，b ← b - lr · dloss/db。
#
# lr 叫**学习率（learning rate）**。按上面的规则，dloss/da 是 2 (a·x + b - y) · x 的平均值，dloss/db 是 2 (a·x + b - y) 的平均值。
#
# **运行之前先猜：** lr 取 0.03、0.3、1.2，各走 30 步。哪个能走到？最大的那个会怎样？
# %%
curves = {}
for lr in (0.03, 0.3, 1.2):
    a = b = 0.0
    curves[lr] = [line_loss_at(a, b)]
    for _ in range(30):
        error = a * xs + b - ys  # (20,)
        da = (2 * error * xs).mean().item()
        db = (2 * error).mean().item()
        a, b = a - lr * da, b - lr * db
        curves[lr].append(line_loss_at(a, b))
    print(f"lr = {lr:<5} a = {a:.2f}  b = {b:.2f}")
# %% tags=["fold"]
figure, axes = plots.new_figure(1, size=(5.4, 3.2))
for (lr, losses), colour in zip(curves.items(), ("#8c8c8c", "#2ca02c", "#d62728"), strict=True):
    axes[0, 0].plot(losses, color=colour, label=f"lr = {lr}")
axes[0, 0].set(yscale="log", xlabel=label("step", "步"), ylabel=label("loss", "损失"))
axes[0, 0].grid(alpha=0.3)
axes[0, 0].legend(fontsize=8)
show_figure(figure)
# %% [markdown] tags=["en"]
# 0.3 gets there within 30 steps, to (2.19, -0.93): the best line for these points. 0.03 is still on its way. 1.2 is too much
# for b: each step overshoots the valley and lands higher up on the other side, and the loss explodes. Every training run in
# this course has a learning rate, and these are the two ways in which it can be wrong.
#
# <!-- go on -->
#
# What changes with a language model? There are many more parameters, the loss is a different one (lesson 1), and autograd
# computes the gradient. The loop stays the same.
#
# ## To discuss in class
#
# 1. `backward()` costs about twice the forward pass, for any number of parameters. What would the gradient cost if it were
#    computed from f(x + h) and f(x)? (A good answer: one more forward pass for each parameter.)
# 2. A derivative of 0 means that a small step changes nothing. Does it mean that the parameter has its best value? (A good
#    answer names a flat place, such as tanh far from 0, and an input that is 0.)
#
# ## Homework
#
# `line_loss`, `neuron_gradient`, `fit_line`. Write them in the cells below, or in `lessons/00_gradients/homework.py`,
# which is what you hand in. `check("fit_line")` says at once which idea goes wrong, `hint("fit_line")` helps in three
# steps, `reset("fit_line")` begins anew, `progress()` shows how far you are. In a terminal (in Jupyter: File, New, Terminal)
# `python -m minillm homework 0` grades the file, `python -m minillm homework 0 --watch` does so whenever you save it.
#
# ## References
#
# - D. Rumelhart, G. Hinton, R. Williams 1986, *Learning representations by back-propagating errors*, Nature 323.
# - A. Karpathy 2020, *micrograd*: autograd in a hundred lines.
# %% [markdown] tags=["zh"]
# 0.3 在 30 步内走到了 (2.19, -0.93)：对这些点最好的直线。0.03 还在路上。1.2 对 b 太大：每一步都跨过谷底，落到对面更高的地方，
# 损失爆炸。本课程的每次训练都有学习率，它出错也就是这两种样子。
#
# <!-- go on -->
#
# 换成语言模型，什么会变？参数很多，损失换一种（第 1 课），梯度由自动求导来算。循环还是这个循环。
#
# ## 课堂讨论
#
# 1. 无论有多少参数，`backward()` 的开销大约是前向的两倍。用 f(x + h) 和 f(x) 两个值来求梯度要花多少？（好的回答：每个参数
#    一次前向。）
# 2. 导数为 0，意思是走一小步什么都不变。这说明参数已经最好了吗？（好的回答会举出平坦的地方，例如离 0 很远的 tanh，以及为 0
#    的输入。）
#
# ## 作业
#
# `line_loss`、`neuron_gradient`、`fit_line`。写在下面的单元格里，或者写在 `lessons/00_gradients/homework.py` 里，最后交的
# 是这个文件。`check("fit_line")` 马上告诉你是哪个想法错了，`hint("fit_line")` 分三步提示，`reset("fit_line")` 恢复原样，
# `progress()` 显示你的进度。在终端里（Jupyter 里：File、New、Terminal），`python -m minillm homework 0` 批改这个文件，`python -m minillm homework 0 --watch`
# 在每次保存时批改。
#
# ## 参考文献
#
# - D. Rumelhart, G. Hinton, R. Williams 1986，*Learning representations by back-propagating errors*，Nature 323。
# - A. Karpathy 2020，*micrograd*：一百行的自动求导。

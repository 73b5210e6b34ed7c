// What the page says, in each language; {name} stands for a value.
const TEXTS = {
  en: {
    title: "Colour your black-and-white photos",
    intro: "Photos are coloured by the server that this page comes from. They are not kept.",
    language: "Language",
    model: "Model",
    drop: "Drop photos here, paste one, or click to pick some",
    formats: "JPEG, PNG, TIFF, WebP, GIF, BMP; HEIC where the server reads it",
    guesses:
      "The colours are guesses: a black-and-white photo does not hold what its colours were. " +
      "Do not take them as evidence of skin, clothes or flags.",
    before: "Before",
    after: "After",
    compare: "{name}: how much of the black-and-white photo is seen",
    compared: "{percent}% black and white",
    picture_before: "{name}, black and white",
    picture_after: "{name}, in colour",
    saturation: "Saturation",
    download: "Download",
    remove: "Remove",
    hints: "Say what colour something has",
    hints_how:
      "Choose a colour, then click on the picture where it belongs. It spreads over what is near and " +
      "looks alike; further points hold it back.",
    next_colour: "Colour of the next point",
    board: "{name}: points of colour. Arrow keys move the cross, Enter puts a point there",
    point_colour: "Colour of point {number}",
    point_remove: "Remove point {number}",
    point_added: "Point {number} is there",
    point_removed: "Point {number} is gone",
    colour_again: "Colour again",
    waiting: "Waiting",
    working: "Being coloured",
    done: "Done in {seconds} s",
    overall: "{done} of {all} photos done, {failed} failed",
    no_model: "This server has no model that colours photos, or it is still loading.",
    not_a_photo: "This is not a photo that can be coloured.",
    too_large: "This photo is too large for the server.",
    busy: "The server is busy. Try again in a moment.",
    too_slow: "The server took too long.",
    unreachable: "The server does not answer. Is it still running?",
    failed: "The server could not colour this photo.",
    not_saved: "The browser could not make the file.",
    server_says: "The server says: {detail}",
  },
  vi: {
    title: "Tô màu ảnh đen trắng của bạn",
    intro: "Ảnh được tô màu trên máy chủ cung cấp trang này và không được lưu lại.",
    language: "Ngôn ngữ",
    model: "Mô hình",
    drop: "Thả ảnh vào đây, dán ảnh, hoặc bấm để chọn ảnh",
    formats: "JPEG, PNG, TIFF, WebP, GIF, BMP; HEIC nếu máy chủ đọc được",
    guesses:
      "Màu sắc chỉ là phỏng đoán: ảnh đen trắng không lưu lại màu gốc. " +
      "Đừng coi đó là bằng chứng về màu da, quần áo hay cờ.",
    before: "Trước",
    after: "Sau",
    compare: "{name}: phần ảnh đen trắng được hiển thị",
    compared: "{percent}% đen trắng",
    picture_before: "{name}, đen trắng",
    picture_after: "{name}, đã tô màu",
    saturation: "Độ bão hòa",
    download: "Tải xuống",
    remove: "Xóa",
    hints: "Cho biết màu của một vật",
    hints_how:
      "Chọn một màu rồi bấm vào chỗ trên ảnh có màu đó. Màu lan ra những vùng gần và trông giống; " +
      "thêm điểm khác để chặn lại.",
    next_colour: "Màu của điểm tiếp theo",
    board: "{name}: các điểm màu. Phím mũi tên di chuyển dấu thập, phím Enter đặt điểm",
    point_colour: "Màu của điểm {number}",
    point_remove: "Xóa điểm {number}",
    point_added: "Đã đặt điểm {number}",
    point_removed: "Đã xóa điểm {number}",
    colour_again: "Tô lại",
    waiting: "Đang chờ",
    working: "Đang tô màu",
    done: "Xong sau {seconds} giây",
    overall: "Xong {done} trên {all} ảnh, {failed} ảnh lỗi",
    no_model: "Máy chủ này không có mô hình tô màu, hoặc mô hình còn đang được nạp.",
    not_a_photo: "Tệp này không phải là ảnh có thể tô màu.",
    too_large: "Ảnh này quá lớn đối với máy chủ.",
    busy: "Máy chủ đang bận. Hãy thử lại sau giây lát.",
    too_slow: "Máy chủ xử lý quá lâu.",
    unreachable: "Máy chủ không trả lời. Máy chủ còn chạy không?",
    failed: "Máy chủ không tô màu được ảnh này.",
    not_saved: "Trình duyệt không tạo được tệp.",
    server_says: "Máy chủ báo: {detail}",
  },
};
const KEPT = "language";

let language = "en";

/** The text `key` in the language of the page. */
export function text(key, values = {}) {
  return TEXTS[language][key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** A number as the language writes it. */
export function number(value, digits) {
  return value.toLocaleString(language, {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
}

/** The language that was chosen before, else the browser's first one that the page speaks. */
export function preferredLanguage() {
  const wanted = [localStorage.getItem(KEPT), ...navigator.languages];
  return wanted.map((tag) => tag?.slice(0, 2)).find((tag) => tag in TEXTS) ?? "en";
}

/** Changes the language; `remember` keeps it for the next visit. */
export function setLanguage(chosen, remember) {
  language = chosen;
  document.documentElement.lang = chosen;
  if (remember) localStorage.setItem(KEPT, chosen);
}

/** Writes the texts below `root` that do not change but with the language. */
export function translate(root) {
  for (const element of root.querySelectorAll("[data-text]")) {
    element.textContent = text(element.dataset.text);
  }
  for (const element of root.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", text(element.dataset.label));
  }
}
